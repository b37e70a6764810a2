"""What holds for all tests."""

from __future__ import annotations

import hypothesis

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("weir", deadline=None)
hypothesis.settings.load_profile("weir")
