"""Measurements against a peer or a limit taken in the same run, printed as ratios."""
