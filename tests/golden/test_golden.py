"""World in, exact configuration out; that HAProxy accepts each, tests/haproxy shows."""

import json

import pytest

from tests.golden.case import Case, cases

every_case = pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.path.stem)


@every_case
def test_the_world_gives_exactly_this_configuration(case: Case) -> None:
    """Every byte is as recorded; a change of it is seen in the commit that makes it."""
    assert case.actual() == case.expected


@every_case
def test_the_order_of_the_world_changes_nothing(case: Case) -> None:
    """Services and certificates in reverse order give the same bytes."""
    reverse = {key: dict(reversed(value.items())) for key, value in json.loads(json.dumps(case.world)).items()}
    assert Case(case.path, reverse, "").actual() == case.expected


def test_there_are_cases() -> None:
    """An empty folder would pass everything above."""
    assert len(list(cases())) >= 10
