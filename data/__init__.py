"""What a record is, where records come from, and how they become a dataset."""
