"""What the operator asked for by a command, beside DOMAINS and containers."""

import json
from pathlib import Path

import pytest

from letsencrypt.admission import Admission, parse_allowed
from letsencrypt.certonly import PRODUCTION, STAGING, Directory
from letsencrypt.discovery import Discovery, Lineages
from letsencrypt.lineages import BY_COMMAND, parse_domains
from letsencrypt.manual import Commissions, format_request, parse_request, read_request
from letsencrypt.wanted import WantedFile
from proxy_agent.daemon.errors import OperationalError
from tests.unit.letsencrypt.certificates import NOW

DOMAINS = parse_domains("a.test, www.a.test").lineages


def commissions(folder: Path) -> Commissions:
    """The list on a volume, as a process finds it."""
    return Commissions(folder / "state" / "issue.json", DOMAINS, Directory(PRODUCTION))


def wanted(lineages: Lineages) -> dict[str, list[str]]:
    """The lineages of each server, by their names."""
    return {directory.url: [str(lineage) for lineage in each] for directory, each in lineages.items()}


def test_the_list_survives_and_is_kept_in_order(tmp_path: Path) -> None:
    """What is added is wanted until it is removed, by whatever process, with all that was said of it."""
    first = commissions(tmp_path)
    assert first.wishes() == ()
    first.add(read_request("z.test,www.z.test", {"key": "rsa-2048", "staging": True, "email": None}), ())
    first.add(read_request("b.test", {}), ())

    again = commissions(tmp_path)
    assert [str(wish.lineage) for wish in again.wishes()] == ["b.test", "z.test, www.z.test"]
    assert [wish.directory.url for wish in again.wishes()] == [PRODUCTION, STAGING]
    assert again.wishes()[1].lineage.words == ("--key-type", "rsa", "--rsa-key-size", "2048")
    assert {wish.lineage.services for wish in again.wishes()} == {(BY_COMMAND,)}
    assert not any(wish.lineage.is_discovered for wish in again.wishes())
    assert again.remove("z.test")
    assert not again.remove("z.test")
    assert [str(wish.lineage) for wish in commissions(tmp_path).wishes()] == ["b.test"]


@pytest.mark.parametrize(
    ("names", "options", "reason"),
    [
        ("*.b.test", {}, "a wildcard is validated over DNS only"),
        ("b_c.test", {}, "not a host name"),
        ("b.test;c.test", {}, "one certificate at a time"),
        ("", {}, "one certificate at a time"),
        ("b.test", {"email": "nobody"}, "what is given as --email cannot be used"),
        ("b.test", {"preferred_chain": "--x", "server": "http://x"}, "--preferred-chain, --server cannot be used"),
    ],
)
def test_what_is_typed_wrong_is_said(names: str, options: dict[str, object], reason: str) -> None:
    """Before anything is asked of the loop, and without repeating what may be a secret."""
    with pytest.raises(ValueError, match=reason):
        read_request(names, options)


def test_what_somebody_wants_already_is_refused(tmp_path: Path) -> None:
    """With who that is; so is what would be taken for certbot's own second lineage."""
    listed = commissions(tmp_path)
    with pytest.raises(ValueError, match=r"www\.a\.test is wanted by DOMAINS already: see renew a\.test"):
        listed.add(read_request("b.test,www.a.test", {}), DOMAINS)
    with pytest.raises(ValueError, match="ends as certbot names the second certificate"):
        listed.add(read_request("b.test-0001", {}), ())
    assert listed.wishes() == ()


def test_a_list_that_cannot_be_used_is_not_written_over(tmp_path: Path) -> None:
    """Nobody's wishes get lost by a new one."""
    listed = commissions(tmp_path)
    path = tmp_path / "state" / "issue.json"
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(OperationalError, match="cannot be used: it is no JSON"):
        listed.add(read_request("b.test", {}), ())
    assert path.read_text() == "{"


def test_a_request_comes_through_the_control_folder_whole() -> None:
    """The line that the command leaves says all that was typed."""
    request = read_request("b.test", {"profile": "shortlived", "reuse_key": True})
    assert parse_request(format_request(request)) == request


def test_containers_leave_the_names_of_commands_to_them(tmp_path: Path) -> None:
    """No order is needed when a container comes that wants one of them; a white list is for containers."""
    listed = commissions(tmp_path)
    path = tmp_path / "wanted.json"
    admission = Admission(DOMAINS, Directory(PRODUCTION), parse_allowed("b.test, c.test"))
    discovery = Discovery(WantedFile(path), admission, lambda: NOW, listed.wishes)
    assert wanted(discovery.lineages()) == {PRODUCTION: ["a.test, www.a.test"]}
    assert listed.add(read_request("b.test,www.b.test", {}), ()).name == "b.test"
    path.write_text(json.dumps({"version": 1, "certificates": [{"names": ["b.test"], "for": ["shop"]}]}))
    assert wanted(discovery.lineages()) == {PRODUCTION: ["a.test, www.a.test", "b.test, www.b.test"]}
    assert {str(name) for name in discovery.names() or ()} == {"a.test", "www.a.test", "b.test", "www.b.test"}
    listed.remove("b.test")
    assert wanted(discovery.lineages()) == {PRODUCTION: ["a.test, www.a.test"]}
