"""Words of a server line that containers choose."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.routing import server_words
from proxy_agent.routing.server_words import parse_server_words, read_server_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("check inter 2000 rise 2 fall 3", ("check", "inter 2000", "rise 2", "fall 3")),
        ("send-proxy-v2 maxconn 50 maxqueue 0", ("send-proxy-v2", "maxconn 50", "maxqueue 0")),
        ("ssl verify none sni req.hdr(host)", ("ssl", "verify none", "sni req.hdr(host)")),
        ("ssl verify required ca-file @system-ca", ("ssl", "verify required", "ca-file @system-ca")),
        ("check-ssl ca-file @system-ca", ("check-ssl", "ca-file @system-ca")),
        (
            "ssl verify none alpn h2,http/1.1 check-sni a.test",
            ("ssl", "verify none", "alpn h2,http/1.1", "check-sni a.test"),
        ),
        ("slowstart 30s weight 10\n\ton-error mark-down", ("slowstart 30s", "weight 10", "on-error mark-down")),
        ("inter 2s inter 5s", ("inter 5s",)),
    ],
)
def test_harmless_words_are_taken_as_written(text: str, words: tuple[str, ...]) -> None:
    """In their order; the last of two that say the same counts, as with HAProxy."""
    assert parse_server_words(text) == words


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("crt /certs/a.pem", "it names a file, which a container may not"),
        (
            "ca-file /etc/passwd",
            "ca-file names a file, which a container may not; @system-ca is the one that can be used",
        ),
        ("inter", "inter takes a length of time such as 2s or 500ms, 100ms at least and 24d at most"),
        ("inter 1us", "inter takes a length of time such as 2s or 500ms, 100ms at least and 24d at most"),
        ("rise 0", "rise takes a whole number from 1 to 10000"),
        ("weight 257", "weight takes a whole number from 0 to 256"),
        ("sni env(SECRET)", "sni takes req.hdr(host), ssl_fc_sni or str(NAME)"),
        ("proto fcgi", "proto takes h1 or h2"),
        ("verify required", "it needs ca-file @system-ca beside it"),
        ("ssl", "it needs verify none, or verify required ca-file @system-ca, beside it"),
        ("cookie x", "COOKIE is for that"),
        ("agent-check", "no container may set that word of a server line"),
        ("alpn h2,x", "alpn takes one or more of h2, http/1.1, http/1.0, with commas"),
    ],
)
def test_other_words_are_refused_with_the_reason(text: str, reason: str) -> None:
    """Each quoted, and with what is accepted instead."""
    assert read_server_words(text) == ((), (f"{text!r} is not used: {reason}",))
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_server_words(text)


def test_a_refused_word_costs_itself_and_its_value_alone() -> None:
    """What stands around it is used."""
    words, reasons = read_server_words("check crt /certs/key.pem inter 3s nonsense rise 1")
    assert words == ("check", "inter 3s", "rise 1")
    assert len(reasons) == 2


_VALUES = ("1", "2s", "none", "required", "@system-ca", "/certs/a.pem", "h2", "a.test", "str(a)", '"', "\\")


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                sorted([*server_words._WITH_VALUE, *server_words._FLAGS, *server_words._TAKE_ONE, *_VALUES])
            ),
            st.text(),
        )
    )
)
def test_no_text_gives_more_than_plain_words(words: list[str]) -> None:
    """Nothing that is taken could end a line, open a quote, or name a file."""
    taken, _ = read_server_words(" ".join(words))
    for word in taken:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 @,:.()=+!/_-]*", word)
        assert "/" not in word.replace("http/1.", "")
    assert read_server_words(" ".join(taken)) == (taken, ())
