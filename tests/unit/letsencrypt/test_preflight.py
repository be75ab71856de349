"""Each verdict of a preflight: how much it says, and its sentence."""

from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.preflight import (
    Authority,
    Kind,
    Probe,
    Reply,
    Verdict,
    failing,
    judge_addresses,
    judge_authority,
    judge_caa,
    judge_failed_lookup,
    judge_name,
    judge_probe,
    judge_unknown_caa,
    worst,
)
from proxy_agent.tls.names import parse_identifier

PUBLIC = Authority("ca.net", is_public=True, caa_identities=("ca.net",))
PRIVATE = Authority("ca.lan")
SHOP = parse_identifier("shop.net")
V4, V6, INSIDE = ip_address("9.9.9.9"), ip_address("2620:fe::fe"), ip_address("192.168.1.5")


@pytest.mark.parametrize(
    ("authority", "sentences"),
    [
        (PUBLIC, []),
        (
            Authority("ca.net", dns_problem="the DNS server 10.0.0.1 does not answer in time", problem="x"),
            [
                "DNS does not work here: the DNS server 10.0.0.1 does not answer in time, asked for ca.net. "
                "Check the DNS servers of this host."
            ],
        ),
        (
            Authority("ca.net", problem="it does not answer in time"),
            ["The ACME server ca.net cannot be used: it does not answer in time."],
        ),
        (Authority("ca.net", skew=timedelta(minutes=-5)), []),
        (
            Authority("ca.net", skew=timedelta(minutes=6)),
            [
                "The clock of this host is 6 minutes ahead of that of ca.net. "
                "Set it, or certificates look expired or not yet valid."
            ],
        ),
        (
            Authority("ca.net", skew=timedelta(days=-1)),
            [
                "The clock of this host is 24 hours behind that of ca.net. "
                "Set it, or certificates look expired or not yet valid."
            ],
        ),
    ],
)
def test_what_all_names_need_is_doubtful_at_worst(authority: Authority, sentences: list[str]) -> None:
    """DNS, the CA and the clock are blamed on no name, and keep nobody from trying: certbot meets them at no cost."""
    verdicts = judge_authority(authority)
    assert [verdict.sentence for verdict in verdicts] == sentences
    assert worst(verdicts) == (Kind.DOUBTFUL if sentences else Kind.FINE)
    assert failing(verdicts) == frozenset()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("shop.net", ""),
        ("example.dev", ""),
        ("9.9.9.9", ""),
        ("nas", "is no public name"),
        ("nas.local", "is no public name, as nothing below local is"),
        ("a.b.home.arpa", "is no public name, as nothing below home.arpa is"),
        ("www.example.com", "is no public name, as nothing below example.com is"),
        ("*.shop.net", "is a wildcard, which is validated over DNS only"),
        ("10.0.0.1", "is no public address"),
        ("::1", "is no public address"),
    ],
)
def test_names_that_no_public_ca_takes(name: str, reason: str) -> None:
    """They are refused for good at a public CA; a private one decides itself."""
    identifier = parse_identifier(name)
    expected = Verdict(name, Kind.DEFINITE, f"{name} {reason}, so ca.net issues nothing for it.") if reason else None
    assert judge_name(identifier, PUBLIC) == expected
    assert judge_name(identifier, PRIVATE) is None


def test_a_name_without_an_address_fails() -> None:
    """Whether DNS does not know it or gives it no address; at a private CA, with other DNS servers, it is a doubt."""
    [unknown] = judge_addresses(SHOP, None, PUBLIC)
    [empty] = judge_addresses(SHOP, (), PUBLIC)
    [doubt] = judge_addresses(SHOP, None, PRIVATE)
    advice = "Add an A or AAAA record that leads to this host; PREFLIGHT=warn orders all the same."
    assert unknown == Verdict("shop.net", Kind.DEFINITE, f"shop.net is not in DNS. {advice}")
    assert empty == Verdict("shop.net", Kind.DEFINITE, f"shop.net has no address in DNS. {advice}")
    assert doubt.kind is Kind.DOUBTFUL


def test_a_private_address_is_a_doubt_only() -> None:
    """DNS may say something else outside; where the CA is private too, it is as it should be."""
    assert judge_addresses(SHOP, (V4,), PUBLIC) == []
    assert judge_addresses(SHOP, (INSIDE,), PRIVATE) == []
    assert judge_addresses(SHOP, (V4, INSIDE), PUBLIC) == [
        Verdict(
            "shop.net",
            Kind.DOUBTFUL,
            "shop.net leads to 192.168.1.5 here, where no CA can come. "
            "Unless DNS says something else outside, give it a public A or AAAA record.",
        )
    ]


def test_a_lookup_that_fails_is_told_from_one_that_is_lost() -> None:
    """SERVFAIL is the name's own fault, as DNS works for the CA's; silence may be anybody's."""
    said = judge_failed_lookup(SHOP, "the DNS server 10.0.0.1 answers with the error SERVFAIL", True, PUBLIC)
    assert said == Verdict(
        "shop.net",
        Kind.DEFINITE,
        "shop.net cannot be looked up: the DNS server 10.0.0.1 answers with the error SERVFAIL. "
        "Check the name servers of its domain, and DNSSEC; PREFLIGHT=warn orders all the same.",
    )
    assert judge_failed_lookup(SHOP, "silence", False, PUBLIC).kind is Kind.DOUBTFUL
    assert judge_failed_lookup(SHOP, "SERVFAIL", True, PRIVATE).kind is Kind.DOUBTFUL


def test_a_caa_record_forbids() -> None:
    """Where it names others only; without identities of the CA, nothing can be said."""
    other, ours = b"\0\x05issueother.net", b"\0\x05issueca.net"
    assert judge_caa(SHOP, "net", [other, ours], PUBLIC) is None
    assert judge_caa(SHOP, "net", [other], Authority("ca.net", is_public=True)) is None
    assert judge_caa(SHOP, "shop.net", [other], PUBLIC) == Verdict(
        "shop.net",
        Kind.DEFINITE,
        "shop.net may not get a certificate from ca.net: the CAA record of shop.net forbids it, "
        'it lets other.net issue and nobody else. Add the CAA record 0 issue "ca.net" there.',
    )
    assert judge_unknown_caa(SHOP, "net", "SERVFAIL") == Verdict(
        "shop.net",
        Kind.DOUBTFUL,
        "The CAA record of net cannot be looked up: SERVFAIL. "
        "A CA that finds the same issues nothing; check the name servers of the domain.",
    )


@pytest.mark.parametrize(
    ("probe", "kind", "sentence"),
    [
        (Probe(V4, Reply.TOKEN), Kind.FINE, "shop.net at 9.9.9.9 passes challenges on."),
        (
            Probe(V6, Reply.NO_WAY, "this container has no IPv6"),
            Kind.FINE,
            "shop.net at 2620:fe::fe cannot be checked from here: this container has no IPv6.",
        ),
        (
            Probe(V4, Reply.UNREACHED, "Connection refused"),
            Kind.DOUBTFUL,
            "shop.net at 9.9.9.9 cannot be reached from here: Connection refused. The CA needs port 80 to be open to "
            "the internet; if this host only cannot reach itself from inside, all is well.",
        ),
        (
            Probe(V6, Reply.UNREACHED, "it does not answer in time"),
            Kind.DOUBTFUL,
            "shop.net at 2620:fe::fe cannot be reached from here: it does not answer in time. The CA needs port 80 to "
            "be open by IPv6, too; if this host only cannot reach itself from inside, all is well.",
        ),
        (
            Probe(V4, Reply.UNKNOWN_HERE),
            Kind.DEFINITE,
            "Another letsencrypt container answers for shop.net at 9.9.9.9, which does not know our challenges. "
            "Let the name lead to one stack only; PREFLIGHT=warn orders all the same.",
        ),
        (
            Probe(V4, Reply.ASTRAY, "it redirects more than 10 times"),
            Kind.DEFINITE,
            "shop.net at 9.9.9.9 leads challenges astray: it redirects more than 10 times. Let "
            "/.well-known/acme-challenge/ through without a redirect; PREFLIGHT=warn orders all the same.",
        ),
        (
            Probe(V6, Reply.OTHER, "the status 404 of 'nginx' came instead of our challenge"),
            Kind.DEFINITE,
            "Another server answers for shop.net at 2620:fe::fe: the status 404 of 'nginx' came instead of our "
            "challenge. Let its AAAA record lead to this host; PREFLIGHT=warn orders all the same.",
        ),
    ],
)
def test_each_answer_to_a_probe_has_its_sentence(probe: Probe, kind: Kind, sentence: str) -> None:
    """What answers wrongly fails; what cannot be reached may only be unreachable from inside (hairpin NAT)."""
    assert judge_probe(SHOP, probe, PUBLIC) == Verdict("shop.net", kind, sentence)


def test_a_probe_proves_failure_only_where_the_ca_sees_the_same() -> None:
    """At a private CA, or at an address of this network, a wrong answer is a doubt."""
    assert judge_probe(SHOP, Probe(V4, Reply.OTHER, "x"), PRIVATE).kind is Kind.DOUBTFUL
    assert judge_probe(SHOP, Probe(INSIDE, Reply.OTHER, "x"), PUBLIC).kind is Kind.DOUBTFUL


@given(st.text())
def test_no_sentence_carries_what_a_terminal_obeys(strange: str) -> None:
    """Names of servers and redirects are strangers' words: one line, printable."""
    sentence = judge_probe(SHOP, Probe(V4, Reply.OTHER, strange), PUBLIC).sentence
    assert sentence.isprintable()


def test_the_worst_counts() -> None:
    """Of many verdicts, and a name fails if one of its verdicts is definite."""
    fine, bad = Verdict("a.net", Kind.FINE, ""), Verdict("a.net", Kind.DEFINITE, "")
    doubt = Verdict("b.net", Kind.DOUBTFUL, "")
    assert (worst([]), worst([fine, doubt]), worst([fine, bad, doubt])) == (0, 1, 2)
    assert failing([fine, bad, doubt]) == {"a.net"}
