"""What holds for all tests."""

import pytest
from hypothesis import settings

# A deadline for each example would make every property test a timed one, which a busy machine fails.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# ``make check``: what was found before is tried again, and a few new examples; ``make test`` tries all.
settings.register_profile("quick", deadline=None, max_examples=10)

# For a night, not for a commit: ``--timeout=0 --hypothesis-profile=deep``.
settings.register_profile("deep", deadline=None, max_examples=2000, print_blob=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that at the end no worker waits for another that just began with it."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
