"""CAA records as RFC 8659 and RFC 8657 have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.caa import objection, parse_property

LETS_ENCRYPT = ("letsencrypt.org",)


def record(tag: str, value: str, flags: int = 0) -> bytes:
    """The content of a record, as it travels."""
    return bytes([flags, len(tag)]) + tag.encode() + value.encode()


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([], None),
        ([record("issue", "letsencrypt.org")], None),
        ([record("ISSUE", " LetsEncrypt.org ; accounturi=https://a.example/1")], None),
        ([record("issue", "other.example"), record("issue", "letsencrypt.org")], None),
        ([record("iodef", "mailto:me@example.com"), record("issuewild", "other.example")], None),
        ([record("issue", "letsencrypt.org; validationmethods=dns-01,http-01")], None),
        ([record("issue", ";")], "it lets nobody issue and nobody else"),
        ([record("issue", "")], "it lets nobody issue and nobody else"),
        ([record("issue", "other.example")], "it lets other.example issue and nobody else"),
        ([record("issue", "letsencrypt.org; what")], "it lets nobody issue and nobody else"),
        ([record("issue", "letsencrypt.org; validationmethods=dns-01")], "its validationmethods leave out http-01"),
        ([record("new", "x", 128)], "it has the critical property 'new', which no CA may overlook"),
        ([record("new", "x")], None),
        ([b"", b"\0", b"\0\x05is"], None),
    ],
)
def test_records_allow_or_forbid(records: list[bytes], reason: str | None) -> None:
    """One issue property that names the CA is enough; where there are others only, it may not issue."""
    assert objection(records, LETS_ENCRYPT) == reason


@given(st.lists(st.binary(max_size=60)))
def test_no_record_breaks_the_judgement(records: list[bytes]) -> None:
    """Whatever strangers put into DNS is judged, not met with an exception."""
    assert objection(records, LETS_ENCRYPT) is None or records


@given(st.from_regex(r"\A[a-zA-Z0-9]{1,40}\Z"), st.text(alphabet=st.characters(max_codepoint=255), max_size=40))
def test_what_is_written_is_read(tag: str, value: str) -> None:
    """The tag in lower case and the value as they were."""
    entry = parse_property(bytes([0, len(tag)]) + tag.encode() + value.encode("latin-1"))
    assert (entry.tag, entry.value) == (tag.lower(), value)
