"""The wire formats that we speak: one file for each API, ours and those of others."""
