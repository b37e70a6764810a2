"""What holds for all tests."""

from hypothesis import settings

# An example may take long on a busy machine; no test here is about time.
settings.register_profile("weir", deadline=None)
settings.load_profile("weir")
