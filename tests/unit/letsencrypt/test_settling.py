"""Patience with what containers want."""

from datetime import timedelta

from letsencrypt.admission import Wish
from letsencrypt.certonly import PRODUCTION, Directory
from letsencrypt.lineages import parse_domains
from letsencrypt.settling import FORGOTTEN_AFTER, Settling
from tests.unit.letsencrypt.certificates import NOW


class Watch:
    """A look each second at what is wanted."""

    def __init__(self) -> None:
        self.settling = Settling()
        self.now = NOW
        self.history: list[str] = []
        """What stood in place of another, in order."""

    def see(self, domains: str, seconds: int = 1) -> str:
        """The lists that are settled after *seconds* of *domains*."""
        lineages = parse_domains(domains).lineages
        wishes = {lineage.name: Wish(Directory(PRODUCTION), lineage) for lineage in lineages}
        text = ""
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            settled = self.settling.settled(wishes, self.now)
            text = "; ".join(str(wish.lineage) for wish in settled.values())
            if text and text not in self.history[-1:]:
                self.history.append(text)
        self.unsettled = self.settling.unsettled(wishes)
        return text


def test_a_list_settles_in_three_seconds() -> None:
    """Not before, and then it stays."""
    watch = Watch()
    assert watch.see("a.test", 3) == ""
    assert watch.see("a.test") == "a.test"
    assert watch.see("a.test", 100) == "a.test"


def test_who_does_not_stay_is_not_taken_up() -> None:
    """A container that dies within its first seconds, again and again, causes nothing."""
    watch = Watch()
    for _ in range(100):
        watch.see("a.test", 2)
        watch.see("", 2)
    assert watch.history == []


def test_who_returns_is_there_at_once() -> None:
    """A list that had settled needs no patience: certbot holds its certificate, or waits with it."""
    watch = Watch()
    watch.see("a.test", 4)
    watch.see("", 10)
    assert watch.see("a.test") == "a.test"


def test_what_stood_there_before_goes_on_meanwhile() -> None:
    """Until a new list has settled, the old one is looked after."""
    watch = Watch()
    watch.see("a.test", 4)
    assert watch.see("a.test, b.test", 3) == "a.test"
    assert watch.see("a.test, b.test") == "a.test, b.test"


def test_lists_that_outdo_each_other_spend_no_rate_limit() -> None:
    """Two lists that take turns are each ordered less than the CA allows in seven days, and that is said."""
    watch = Watch()
    for _ in range(60):
        watch.see("a.test", 60)
        watch.see("a.test, b.test", 60)
    assert watch.history == ["a.test", "a.test, b.test"] * 2
    assert watch.unsettled == []
    watch.see("a.test", 60)
    assert watch.unsettled == [
        "The certificate for a.test changed back and forth: it is obtained once what is wanted stays the same for "
        "10 minutes."
    ]
    assert watch.see("a.test", 600) == "a.test"


def test_new_lists_do_not_wait_for_that() -> None:
    """Whoever works on a list sees each version of it obtained at once."""
    watch = Watch()
    for number in range(9):
        assert watch.see(f"a.test, h{number}.test", 4) == f"a.test, h{number}.test"


def test_a_clock_that_is_set_back_costs_three_seconds() -> None:
    """Time that has not been yet is not waited for."""
    watch = Watch()
    watch.see("a.test", 2)
    watch.now -= timedelta(days=1)
    watch.see("a.test", 4)
    assert watch.see("a.test") == "a.test"


def test_a_long_sleep_between_two_looks_is_no_absence() -> None:
    """While certbot runs nobody looks, and what is still wanted then has settled."""
    watch = Watch()
    watch.see("a.test")
    watch.now += timedelta(minutes=2)
    assert watch.see("a.test") == "a.test"


def test_what_is_gone_for_a_week_is_forgotten() -> None:
    """Memory does not grow for ever."""
    watch = Watch()
    watch.see("a.test", 4)
    watch.see("")
    watch.now += FORGOTTEN_AFTER
    watch.see("", 2)
    assert watch.see("a.test") == ""
