"""A simulator of abuse on a virtual clock: who is held back, who is not, and how fast room comes back."""
