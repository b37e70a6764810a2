"""One script per guard: texts in, scores out. Each runs in its guard's own environment and imports nothing of ours."""
