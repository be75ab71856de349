"""The grammar of DOMAINS."""

from hypothesis import example, given
from hypothesis import strategies as st

from letsencrypt.lineages import Lineage, parse_domains
from proxy_agent.daemon.errors import Skipped

WORDS = st.sampled_from(
    ["a.example", "www.a.example", "*.a.example", "b.example", "192.0.2.1", "2001:db8::1", "bücher.example", "", " "]
)


def names(text: str) -> list[str]:
    """The certificates of *text*, each as its names in a line."""
    return [str(lineage) for lineage in parse_domains(text).lineages]


def reasons(text: str) -> dict[str, str]:
    """What is skipped of *text*, with the reason."""
    return {skipped.what: skipped.reason for skipped in parse_domains(text).skipped}


def test_semicolons_part_certificates_and_commas_their_names() -> None:
    """Each list of names is one certificate, in the operator's order; blanks, line ends and empty items are nothing."""
    assert names(" b.example ,a.example,; ;\n c.example;") == ["b.example, a.example", "c.example"]


def test_the_first_name_names_the_lineage() -> None:
    """A lineage is called like its first name."""
    assert [lineage.name for lineage in parse_domains("b.example,a.example;192.0.2.1").lineages] == [
        "b.example",
        "192.0.2.1",
    ]


def test_an_ipv6_address_makes_a_name_for_files_and_command_lines() -> None:
    """However an IPv6 address is written, its lineage is named without colons and does not begin like an option."""
    assert parse_domains("[2001:DB8:0::1]; ::1").lineages == (
        Lineage("ipv6-2001-db8--1", parse_domains("2001:db8::1").lineages[0].identifiers),
        Lineage("ipv6---1", parse_domains("::1").lineages[0].identifiers),
    )


def test_a_name_given_twice_counts_once() -> None:
    """A certificate has each name once, also when it is spelt in two ways."""
    assert names("a.example, A.Example, www.a.example, a.example") == ["a.example, www.a.example"]


def test_a_wildcard_is_refused_with_the_reason() -> None:
    """A wildcard cannot be validated over HTTP, which the reason says; the names beside it stay."""
    assert names("*.a.example, a.example") == ["a.example"]
    assert "validated over DNS only" in reasons("*.a.example, a.example")["*.a.example"]


def test_an_invalid_name_is_refused_alone() -> None:
    """A name that is none is skipped with what is wrong about it; the rest of its list goes on."""
    assert names("a.example, not a name, b.example; c.example") == ["a.example, b.example", "c.example"]
    assert reasons("a.example, not a name") == {
        "not a name": "not a host name: 'not a name' holds a character other than letters, digits and '-'"
    }


def test_a_certificate_without_a_valid_name_disappears() -> None:
    """Where every name of a list is refused there is no certificate, and the others are not affected."""
    assert names("*.a.example, -; b.example") == ["b.example"]


def test_a_second_certificate_of_the_same_name_is_skipped() -> None:
    """Two lists that begin with one name would share their files: the later one is skipped with the reason."""
    wanted = parse_domains("a.example; a.example, b.example")

    assert names("a.example; a.example, b.example") == ["a.example"]
    assert wanted.skipped == (Skipped("a.example, b.example", "a.example already begins an earlier certificate"),)


def test_an_address_with_a_zone_is_refused() -> None:
    """A zone such as %eth0 means something on one host only, and may hold what no path should."""
    assert names("fe80::1%eth0, a.example") == ["a.example"]
    assert "after '%'" in reasons("fe80::1%eth0")["fe80::1%eth0"]


@given(st.lists(st.lists(WORDS).map(",".join)).map(";".join) | st.text())
@example("fe80::1%a b;::1%\n")
def test_whatever_is_given_the_result_is_safe(text: str) -> None:
    """Whatever DOMAINS holds: no failure; each lineage's name is its own, and no path, option or hidden file."""
    wanted = parse_domains(text)

    lineage_names = [lineage.name for lineage in wanted.lineages]
    assert len(set(lineage_names)) == len(lineage_names)
    for lineage in wanted.lineages:
        assert lineage.identifiers
        assert len(set(lineage.identifiers)) == len(lineage.identifiers)
        assert not set(lineage.name) - set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        assert not lineage.name.startswith(("-", "."))
    for skipped in wanted.skipped:
        assert skipped.reason
        assert "\n" not in str(skipped)


@given(st.lists(st.lists(WORDS).map(",".join)).map(";".join))
def test_nothing_is_lost_silently(text: str) -> None:
    """Every name that was written is in a certificate, or skipped, or is in a certificate that was."""
    wanted = parse_domains(text)
    told = " ".join([*map(str, wanted.lineages), *(skipped.what for skipped in wanted.skipped)])

    for word in text.replace(";", ",").split(","):
        spelling = {"bücher.example": "xn--bcher-kva.example"}.get(word.strip(), word.strip())
        assert spelling in told
