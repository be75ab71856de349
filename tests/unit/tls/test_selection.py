"""proxy_agent.tls.selection."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import DnsName, parse_identifier
from proxy_agent.tls.selection import Selection, select

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def bundle(name: str, *identifiers: str, days: int = 60) -> Bundle:
    """A bundle that expires in *days*."""
    return Bundle(
        name=name,
        pem=name.encode(),
        identifiers=frozenset(map(parse_identifier, identifiers)),
        serial=1,
        fingerprint=name,
        issuer="",
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=days),
        chain_length=1,
    )


SELF_SIGNED = bundle("self-signed", "localhost")


def chosen(*sources: list[Bundle], custom_default: Bundle | None = None) -> Selection:
    """The selection from *sources*, in order of precedence."""
    return select(sources, custom_default, SELF_SIGNED, NOW)


def names(selection: Selection) -> dict[str, tuple[str, ...]]:
    """Which bundle won which names."""
    return {winner.name: won for winner, won in selection.entries}


def test_the_earlier_source_wins_a_name() -> None:
    """The user's own certificate beats an issued one, whichever lives longer."""
    selection = chosen([bundle("custom/a", "a.test", days=1)], [bundle("issued/a", "a.test", "b.test", days=80)])
    assert names(selection) == {"custom/a": ("a.test",), "issued/a": ("b.test",)}


def test_a_valid_certificate_beats_an_expired_one_of_an_earlier_source() -> None:
    """A forgotten certificate of the user's does not hide one that works."""
    selection = chosen([bundle("custom/a", "a.test", days=0)], [bundle("issued/a", "a.test", days=1)])
    assert names(selection) == {"issued/a": ("a.test",)}


def test_an_expired_certificate_is_better_than_none() -> None:
    """A client that may look past the expiry still sees the right name."""
    selection = chosen([bundle("custom/a", "a.test", days=-9)])
    assert names(selection) == {"custom/a": ("a.test",)}


def test_within_a_source_the_later_expiry_wins() -> None:
    """Two lineages for one name: the fresher one is served."""
    selection = chosen([bundle("issued/a", "a.test", days=80), bundle("issued/b", "a.test", days=81)])
    assert names(selection) == {"issued/b": ("a.test",)}


def test_names_are_won_one_by_one() -> None:
    """A certificate that lost one of its names still serves the others."""
    selection = chosen([bundle("issued/a", "a.test", "b.test", days=9), bundle("issued/b", "b.test", "c.test")])
    assert names(selection) == {"issued/a": ("a.test",), "issued/b": ("b.test", "c.test")}
    assert selection.names == {"a.test", "b.test", "c.test"}


def test_without_any_certificate_the_self_signed_one_answers() -> None:
    """There is always a default certificate, and it covers nothing."""
    selection = chosen([], [])
    assert (selection.default, selection.entries, selection.names) == (SELF_SIGNED, (), frozenset())


def test_a_custom_default_answers_unknown_names_and_keeps_its_own() -> None:
    """The user's ``default.crt`` is the default certificate, and a certificate for its names besides."""
    default = bundle("custom/default", "d.test")
    selection = chosen([default], [bundle("issued/ip", "192.0.2.1")], custom_default=default)
    assert selection.default == default
    assert selection.names == {"d.test"}


def test_a_certificate_for_an_address_is_the_default_where_the_user_gave_none() -> None:
    """Who connects to an address sends no name, so only the default certificate can be good for it."""
    address = bundle("issued/ip", "192.0.2.1", "a.test")
    selection = chosen([], [bundle("issued/a", "a.test", days=99), address])
    assert selection.default == address
    assert names(selection) == {"issued/a": ("a.test",)}, "an address is no server name: it is in no crt-list"


def test_an_expired_certificate_for_an_address_makes_way() -> None:
    """Among certificates for one address the same order counts."""
    good = bundle("live/ip", "192.0.2.1")
    assert chosen([bundle("custom/ip", "192.0.2.1", days=-1)], [good]).default == good


Sources = list[list[Bundle]]


@st.composite
def sources_in_two_orders(draw: st.DrawFn) -> tuple[Sources, Sources]:
    """Up to three sources with bundles that compete for few names, and the same with their files in another order."""
    identifiers = st.sets(st.sampled_from(["a.test", "b.test", "*.test", "192.0.2.1", "192.0.2.2"]), min_size=1)
    listed = [
        [bundle(f"{source}/{number}", *draw(identifiers), days=draw(st.integers(-2, 2))) for number in range(size)]
        for source, size in enumerate(draw(st.lists(st.integers(0, 3), max_size=3)))
    ]
    return listed, [draw(st.permutations(source)) for source in listed]


@given(sources_in_two_orders())
def test_the_order_of_files_decides_nothing(pair: tuple[Sources, Sources]) -> None:
    """However a folder lists its files, each name is won by exactly one certificate, and by the same one."""
    listed, shuffled = pair
    selection = chosen(*listed)
    assert chosen(*shuffled) == selection
    won = sorted(name for _, names_won in selection.entries for name in names_won)
    asked = {name for source in listed for item in source for name in item.identifiers if isinstance(name, str)}
    assert won == sorted(asked)


def test_a_chosen_certificate_comes_first() -> None:
    """Whatever names it carries, and whoever else covers the name."""
    sources = [bundle("custom/mine", "other.test")], [bundle("issued/a", "a.test", "b.test")]
    selection = select(sources, None, SELF_SIGNED, NOW, {DnsName("a.test"): "custom/mine"})
    assert names(selection) == {"custom/mine": ("a.test", "other.test"), "issued/a": ("b.test",)}
    assert names(select(sources, None, SELF_SIGNED, NOW, {DnsName("a.test"): "custom/gone"})) == names(chosen(*sources))


def test_a_file_called_like_a_host_that_nobody_covers_is_for_that_host() -> None:
    """As nginx-proxy takes it; where another certificate covers the host, its names decide."""
    selection = chosen(
        [bundle("custom/a.test", "internal.test"), bundle("custom/x.w.test", "y.test"), bundle("custom/w", "*.w.test")]
    )
    assert names(selection) == {
        "custom/a.test": ("a.test", "internal.test"),
        "custom/w": ("*.w.test",),
        "custom/x.w.test": ("y.test",),
    }


def test_rehearsals_are_told_apart() -> None:
    """Browsers may insist on what they trust; a staging certificate is not for them."""
    real, staging, lonely = bundle("issued/a", "a.test"), bundle("issued/b", "b.test"), bundle("custom/c", "c.test")
    staging = replace(staging, issuer="CN=(STAGING) Pseudo Plum E5,O=(STAGING) Let's Encrypt,C=US")
    selection = chosen([replace(lonely, chain_length=0)], [real, staging])
    assert selection.trusted == {"a.test"}
    assert selection.names == {"a.test", "b.test", "c.test"}
