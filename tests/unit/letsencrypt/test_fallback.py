"""Whose turn it is among several ACME servers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from letsencrypt.fallback import OWN_FAULT, Tier, take_turns
from letsencrypt.lineages import parse_domains
from letsencrypt.schedule import Failure
from letsencrypt.standing import Obstacle
from proxy_agent.tls.bundle import Bundle
from tests.unit.letsencrypt.certificates import NOW, bundle, issue

[LINEAGE] = parse_domains("a.test, b.test").lineages
NAMES = ("a.test", "b.test")
DOWN = Obstacle(Failure.NETWORK, "Connection refused")
DAY = timedelta(days=1)


def held(left: timedelta, names: Sequence[str] = NAMES) -> Bundle:
    """A certificate of 90 days with so much of them left; the longer, the newer."""
    made = bundle("a.test", issue(names, NOW + left))
    return replace(made, not_before=made.not_after - 90 * DAY)


def turn(*tiers: Tier) -> tuple[set[int], int | None]:
    """Who may be asked, and whose certificate is served."""
    found = take_turns(LINEAGE, tiers, NOW)
    return set(found.asked), found.serves


def test_the_first_is_asked_alone_as_long_as_it_issues() -> None:
    """Nobody else comes in, whether there is a certificate or not."""
    assert turn(Tier(), Tier()) == ({0}, None)
    assert turn(Tier(held(60 * DAY)), Tier()) == ({0}, 0)


def test_a_missing_certificate_is_asked_of_the_next_one_while_the_first_fails() -> None:
    """And of the one after that if the next one fails too; those before it are asked on in their own time."""
    assert turn(Tier(None, DOWN), Tier(), Tier()) == ({0, 1}, None)
    assert turn(Tier(None, DOWN), Tier(None, DOWN), Tier()) == ({0, 1, 2}, None)
    assert turn(Tier(None, DOWN), Tier(None, DOWN), Tier(None, DOWN)) == ({0, 1, 2}, None)


@pytest.mark.parametrize("failure", Failure)
def test_only_a_fault_of_the_server_calls_in_another(failure: Failure) -> None:
    """What would fail everywhere is not tried everywhere."""
    asked, _ = turn(Tier(None, Obstacle(failure, "x")), Tier())
    assert (1 in asked) == (failure in OWN_FAULT)
    assert {
        *(Failure.NETWORK, Failure.BUSY, Failure.SERVER, Failure.NONCE, Failure.RATE_LIMITED, Failure.ACCOUNT),
        *(Failure.AFTER_FINALIZE, Failure.BUDGET),
    } == OWN_FAULT


def test_a_certificate_that_lasts_is_a_reason_to_wait() -> None:
    """Only in the last sixth of its life, or where it lacks a name, does another server come in."""
    fresh, old, partial = held(16 * DAY), held(14 * DAY), held(60 * DAY, ["a.test"])
    assert turn(Tier(fresh, DOWN), Tier()) == ({0}, 0)
    assert turn(Tier(old, DOWN), Tier()) == ({0, 1}, 0)
    assert turn(Tier(partial, DOWN), Tier()) == ({0, 1}, 0)


def test_a_healthy_certificate_of_a_fallback_asks_nothing_of_anybody() -> None:
    """Neither while the first one still fails nor when it is well again."""
    assert turn(Tier(None, DOWN), Tier(held(60 * DAY))) == (set(), 1)
    assert turn(Tier(held(DAY)), Tier(held(60 * DAY)), Tier()) == (set(), 1)


def test_a_wish_or_a_revocation_ends_the_rest_of_a_fallback() -> None:
    """The first one is asked then; another in its place only where what is served has to be replaced."""
    resting = (Tier(None, DOWN), Tier(held(60 * DAY)))
    assert take_turns(LINEAGE, resting, NOW, recalled=True).asked == {0}
    assert take_turns(LINEAGE, resting, NOW, must_go=True).asked == {0, 1}
    assert take_turns(LINEAGE, (Tier(), *resting[1:]), NOW, must_go=True).asked == {0}


def test_what_is_due_is_the_first_ones_turn_again() -> None:
    """The fallback serves on meanwhile, and renews only if the first fails until the last sixth."""
    assert turn(Tier(), Tier(held(60 * DAY), None, due=True)) == ({0}, 1)
    assert turn(Tier(None, DOWN), Tier(held(60 * DAY), None, due=True)) == ({0}, 1)
    assert turn(Tier(), Tier(held(DAY))) == ({0}, 1)
    assert turn(Tier(None, DOWN), Tier(held(DAY))) == ({0, 1}, 1)
    assert turn(Tier(held(61 * DAY)), Tier(held(60 * DAY), None, due=True)) == ({0}, 0)


def test_the_right_certificate_is_the_one_for_the_wanted_names_that_is_newest() -> None:
    """An older one never takes the place of a newer one, unless that serves fewer names or is not to be trusted."""
    assert turn(Tier(held(60 * DAY)), Tier(held(DAY)))[1] == 0
    assert turn(Tier(held(DAY)), Tier(held(60 * DAY)))[1] == 1
    assert turn(Tier(held(DAY)), Tier(held(60 * DAY, ["a.test"])))[1] == 0
    assert turn(Tier(held(60 * DAY)), Tier(held(61 * DAY), None, due=True))[1] == 0
