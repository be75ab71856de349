"""What holds for all tests."""

from hypothesis import settings

# A deadline for each example would make every property test a timed one, which a busy machine fails.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# ``make check``: what was found before is tried again, and a few new examples; ``make test`` tries all.
settings.register_profile("quick", deadline=None, max_examples=10)

# For a night, not for a commit: ``--hypothesis-profile=deep``.
settings.register_profile("deep", deadline=None, max_examples=2000, print_blob=True)
