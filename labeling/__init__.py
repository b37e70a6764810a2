"""How people correct the model: what is worth labelling, and the way to Label Studio and back."""
