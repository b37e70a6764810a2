"""Who behaves oddly, and by how much its limits are lowered for it. docs/rate-limiting.md works it through."""
