"""How well we find attacks, beside every other guard that runs offline, on the same texts in one run."""
