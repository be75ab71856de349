"""Questions to DNS servers and their answers, in bytes and against a server that answers as told."""

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.resolver import (
    RecordType,
    Resolver,
    ServerFailed,
    Unanswered,
    parse_message,
    parse_resolv_conf,
    question,
)
from tests.ports import free_port
from tests.unit.letsencrypt.dns_server import Answer, dns_server, name_in, response

V4, V6 = ip_address("198.51.100.7"), ip_address("2001:db8::7")
CAA = b"\0\x05issueletsencrypt.org"


def zone(name: str, record_type: int) -> Answer:
    """What the server knows."""
    known = {
        ("both.test", 1): Answer(V4.packed),
        ("both.test", 28): Answer(V6.packed),
        ("both.test", 257): Answer(CAA),
        ("long.test", 257): Answer(*[CAA] * 50, truncated=True),
        ("empty.test", 1): Answer(),
        ("empty.test", 28): Answer(rcode=3),
    }
    if name.startswith("broken"):
        return Answer(rcode=2)
    return known.get((name, record_type), Answer(silent=True) if name.startswith("silent") else Answer(rcode=3))


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ["127.0.0.1"]),
        ("nameserver 10.0.0.1\noptions ndots:0\nnameserver  2001:db8::1 \n", ["10.0.0.1", "2001:db8::1"]),
        ("# nameserver 1.1.1.1\nnameserver\nnameserver x\nnameserver 10.0.0.1 # here", ["10.0.0.1"]),
        ("\n".join(f"nameserver 10.0.0.{n}" for n in range(9)), ["10.0.0.0", "10.0.0.1", "10.0.0.2"]),
    ],
)
def test_the_systems_servers_are_asked(text: str, servers: list[str]) -> None:
    """Those of resolv.conf, at most three as everybody else does; without any, the one on this host."""
    assert [server for server, _ in parse_resolv_conf(text)] == servers


def test_addresses_and_caa_records_come_back() -> None:
    """Of both families, past a CNAME; many records come by TCP; no name is another thing than a name without any."""
    with dns_server(zone) as port:
        resolver = Resolver((("127.0.0.1", port),))
        assert resolver.addresses("both.test") == (V6, V4)
        assert resolver.caa("both.test") == (CAA,)
        assert resolver.caa("long.test") == (CAA,) * 50
        assert resolver.addresses("empty.test") == ()
        assert resolver.addresses("missing.test") is None


def test_a_dead_server_is_passed_over() -> None:
    """The next one is asked; where all are dead or fail, the message says how."""
    dead = ("127.0.0.1", free_port())
    with dns_server(zone) as port:
        assert Resolver((dead, ("127.0.0.1", port))).addresses("both.test") == (V6, V4)
        with pytest.raises(ServerFailed, match=r"the DNS server 127\.0\.0\.1 answers with the error SERVFAIL"):
            Resolver((("127.0.0.1", port), dead)).addresses("broken.test")
    with pytest.raises(Unanswered, match=r"the DNS server 127\.0\.0\.1 cannot be asked: Connection refused"):
        Resolver((dead,)).caa("both.test")


def test_silence_ends_in_time() -> None:
    """A server that says nothing costs its share of the time and no more."""
    times = iter([0.0, 2.98, 2.99, 3.1])
    with dns_server(zone) as port:
        resolver = Resolver((("127.0.0.1", port),), lambda: next(times))
        with pytest.raises(Unanswered, match=r"the DNS server 127\.0\.0\.1 does not answer in time"):
            resolver.caa("silent.test")


@given(st.from_regex(r"\A[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){0,3}\Z"), st.sampled_from(RecordType))
def test_a_question_carries_name_and_type(name: str, record_type: RecordType) -> None:
    """As a server reads it."""
    assert name_in(question(7, name, record_type))[:2] == (name, record_type)


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 15))
def test_all_records_of_an_answer_are_read(records: list[bytes], rcode: int) -> None:
    """Their contents, whatever they hold, and no others."""
    query = question(7, "a.test", RecordType.CAA)
    message = parse_message(response(query, Answer(*records, rcode=rcode), by_tcp=False), 7, RecordType.CAA)
    assert (list(message.records), message.rcode) == (sorted(records), rcode)


@given(st.binary(max_size=80), st.integers(0, 60))
def test_garbage_is_refused_in_words(garbage: bytes, cut: int) -> None:
    """Bytes that are no answer raise ValueError and nothing else, in bounded time; so does half an answer."""
    whole = response(question(7, "a.test", RecordType.A), Answer(V4.packed), by_tcp=False)
    for content in (garbage, whole[:2] + b"\x81\x80" + garbage, whole[:cut], whole[:cut] + garbage):
        with contextlib.suppress(ValueError):
            parse_message(content, 7, RecordType.A)
    with pytest.raises(ValueError, match="it is no answer to what was asked"):
        parse_message(whole, 8, RecordType.A)
