"""The file of wanted certificates, as letsencrypt reads it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.wanted import LARGEST_FILE, Request, WantedFile, parse_wanted


def content(*certificates: object, version: object = 1) -> bytes:
    """A file."""
    return json.dumps({"version": version, "certificates": certificates}).encode()


def reasons(*certificates: object) -> list[str]:
    """Why those are skipped."""
    return [str(item) for item in parse_wanted(content(*certificates))[1]]


def test_requests_are_read() -> None:
    """Names, who wants them, and every option; what a later release adds is passed over."""
    requests, skipped = parse_wanted(
        content(
            {"names": ["a.test", "192.0.2.7"], "for": ["shop/web"]},
            {"names": ["b.test"], "key": "rsa-4096", "staging": True, "reuse_key": False, "colour": "blue"},
        )
    )
    assert skipped == ()
    assert requests[0].names == ("a.test", "192.0.2.7")
    assert requests[0].services == ("shop/web",)
    assert (requests[1].key, requests[1].staging, requests[1].reuse_key) == ("rsa-4096", True, False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("names", []),
        ("names", ["A.test"]),
        ("names", ["a test"]),
        ("names", ["../a.test"]),
        ("names", [7]),
        ("names", "a.test"),
        ("names", [f"h{number}.test" for number in range(101)]),
        ("email", "--config=/x"),
        ("email", "a@b.test\n"),
        ("server", "http://ca.test/"),
        ("server", "https://user:secret@ca.test/"),
        ("key", "ec-521"),
        ("profile", "x" * 65),
        ("profile", "a b"),
        ("preferred_chain", "--x"),
        ("preferred_chain", "a\nb"),
        ("eab_kid", "a b"),
        ("eab_hmac_key", "sec ret"),
    ],
)
def test_a_request_that_our_agent_would_not_write_costs_itself(field: str, value: object) -> None:
    """It is skipped with the name of the field, not with its content, and the others go on."""
    bad = {"names": ["a.test"], field: value}
    requests, skipped = parse_wanted(content(bad, {"names": ["b.test"]}))
    assert [request.names for request in requests] == [("b.test",)]
    assert [str(item) for item in skipped] == [f"request 1: not as the agent writes it: {field}"]


def test_who_wants_it_is_made_fit_for_the_log() -> None:
    """It is only shown: no line break, no terminal command, no endless list."""
    [request], _ = parse_wanted(content({"names": ["a.test"], "for": ["a\nb\x1b[2J", *map(str, range(50))]}))
    assert request.services[0] == "a?b?[2J"
    assert len(request.services) == 20


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is no JSON"),
        (b"\xff", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"[]", "it is not of version 1: let both containers run the same release"),
        (content(version=2), "it is not of version 1: let both containers run the same release"),
        (b'{"version": 1}', "it holds no list of certificates"),
    ],
)
def test_what_is_no_such_file_is_refused_whole(text: bytes, reason: str) -> None:
    """The reason says what to do."""
    with pytest.raises(ValueError, match=reason):
        parse_wanted(text)


def test_a_file_without_end_is_cut() -> None:
    """A thousand certificates are looked at."""
    requests, skipped = parse_wanted(content(*({"names": [f"h{number}.test"]} for number in range(1001))))
    assert len(requests) == 1000
    assert [str(item) for item in skipped] == ["the file: only its first 1000 certificates are looked at"]


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("a.test"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["names", "for", "email"]), inner),
    max_leaves=10,
)


@given(JSON)
def test_no_content_is_too_strange(certificate: object) -> None:
    """Whatever stands in a request is read or skipped, never an exception."""
    requests, skipped = parse_wanted(content(certificate))
    assert len(requests) + len(skipped) == 1


def write(path: Path, *names: str) -> None:
    """Replace the file as the agent does."""
    fresh = path.with_name("fresh")
    fresh.write_bytes(content(*({"names": [name]} for name in names)))
    fresh.replace(path)


def names(requests: tuple[Request, ...]) -> list[str]:
    """The first names."""
    return [request.names[0] for request in requests]


def test_the_file_is_followed(tmp_path: Path) -> None:
    """Nothing before there is one, then what it says; while it is away or broken, what it said last."""
    path = tmp_path / "wanted.json"
    file = WantedFile(path)
    assert file.read() == ()
    write(path, "a.test")
    first = file.read()
    assert names(first) == ["a.test"]
    assert file.read() is first
    write(path, "a.test", "b.test")
    assert names(file.read()) == ["a.test", "b.test"]
    path.unlink()
    assert names(file.read()) == ["a.test", "b.test"]
    path.write_text("nonsense")
    assert names(file.read()) == ["a.test", "b.test"]
    assert list(file.problems) == [f"{path} cannot be used: it is no JSON."]
    write(path)
    assert file.read() == ()
    assert list(file.problems) == []


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Neither a folder in its place nor one of endless size ends the loop."""
    path = tmp_path / "wanted.json"
    file = WantedFile(path)
    path.mkdir()
    file.read()
    assert file.problems == (f"{path} cannot be read: Is a directory.",)
    path.rmdir()
    with path.open("wb") as sparse:
        os.truncate(sparse.fileno(), LARGEST_FILE + 1)
    file.read()
    assert file.problems == (f"{path} cannot be used: it is larger than 4 MiB.",)


def test_a_secret_has_no_name() -> None:
    """The key of an external account is not shown by whatever prints a request."""
    [request], _ = parse_wanted(content({"names": ["a.test"], "eab_kid": "kid", "eab_hmac_key": "topsecret"}))
    assert "topsecret" not in repr(request)
