"""The challenge server answers for tokens, and for nothing else."""

import http.client
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from letsencrypt.webroot import CHALLENGE_PATH, ChallengeApp, ChallengeFolder, ChallengeServer
from proxy_agent.daemon.errors import OperationalError


@pytest.fixture
def folder(tmp_path: Path) -> ChallengeFolder:
    """A prepared folder, with a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    made = ChallengeFolder(tmp_path / "webroot")
    made.prepare()
    return made


@pytest.fixture
def port(folder: ChallengeFolder) -> Iterator[int]:
    """Where a challenge server for that folder answers."""
    server = ChallengeServer(folder, 0)
    server.start()
    yield server.port
    server.stop()


def fetch(port: int, path: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer, as a CA sees them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


def test_a_token_is_served_as_it_was_written(folder: ChallengeFolder, port: int) -> None:
    """The CA gets the bytes of the file as plain text, as often as it asks."""
    (folder.path / "tok_EN-1").write_bytes(b"tok_EN-1.thumbprint")

    for _ in range(3):
        status, body, headers = fetch(port, f"{CHALLENGE_PATH}tok_EN-1")
        assert (status, body) == (200, b"tok_EN-1.thumbprint")
        assert headers["Content-Type"] == "text/plain"
        assert headers["X-Served-By"] == "letsencrypt"


def test_head_is_answered_without_a_body(folder: ChallengeFolder, port: int) -> None:
    """HEAD tells the length and sends nothing."""
    (folder.path / "token").write_bytes(b"12345")
    status, body, headers = fetch(port, f"{CHALLENGE_PATH}token", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "5")


@pytest.mark.parametrize(
    "path", ["/", "/index.html", CHALLENGE_PATH, f"{CHALLENGE_PATH}unknown", f"/x{CHALLENGE_PATH}token", "//token"]
)
def test_anything_else_is_not_found_but_told_apart(folder: ChallengeFolder, port: int, path: str) -> None:
    """What is no token is 404, with the header that tells our 404 from another server's."""
    (folder.path / "token").write_bytes(b"x")
    status, _, headers = fetch(port, path)
    assert (status, headers["X-Served-By"]) == (404, "letsencrypt")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_reading_is_allowed(folder: ChallengeFolder, port: int, method: str) -> None:
    """Other methods are refused by name."""
    (folder.path / "token").write_bytes(b"x")
    status, _, headers = fetch(port, f"{CHALLENGE_PATH}token", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "rest",
    ["../../../../secret", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret", "..%2f..%2f..%2f..%2fsecret", "/../token", "./token"],
)
def test_no_path_leads_out_of_the_folder(port: int, rest: str) -> None:
    """However the way out is spelt, it leads nowhere."""
    status, body, _ = fetch(port, CHALLENGE_PATH + rest)
    assert status == 404
    assert b"secret" not in body


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["GET", "HEAD", "POST", "get"]), path=st.text())
def test_no_request_is_answered_with_a_file(folder: ChallengeFolder, method: str, path: str) -> None:
    """Whatever is asked for: where no token is, nothing is served."""
    statuses: list[str] = []
    app = ChallengeApp(folder)
    for asked in (path, CHALLENGE_PATH + path):
        app(
            {"REQUEST_METHOD": method, "PATH_INFO": asked},
            lambda status, _headers, _info=None: statuses.append(status),  # type: ignore[arg-type]
        )
    assert not any(status.startswith("200") for status in statuses)


def test_a_link_is_not_followed(folder: ChallengeFolder, port: int) -> None:
    """A symbolic link among the tokens is not one of ours."""
    (folder.path / "link").symlink_to(folder.path.parents[2] / "secret")
    assert fetch(port, f"{CHALLENGE_PATH}link")[0] == 404


def test_old_tokens_are_swept(folder: ChallengeFolder) -> None:
    """What a killed run left is gone after a restart, and the folder stays for certbot to find."""
    (folder.path / "stale").write_bytes(b"x")
    folder.prepare()
    assert list(folder.path.iterdir()) == []


def test_an_offer_ends(folder: ChallengeFolder) -> None:
    """A token that is offered for a while can be read in that while only."""
    with folder.offering("probe-1", b"nonce"):
        assert folder.read("probe-1") == b"nonce"
    assert folder.read("probe-1") is None


def test_a_port_that_is_taken_is_said(folder: ChallengeFolder, port: int) -> None:
    """Where the challenge server cannot listen, the port and the reason are named."""
    with pytest.raises(OperationalError, match=f"cannot listen on port {port}: Address already in use"):
        ChallengeServer(folder, port)


def test_a_webroot_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """Where the webroot is no folder, the path and the reason are named."""
    (tmp_path / "webroot").write_text("")
    with pytest.raises(OperationalError, match="Cannot prepare the webroot"):
        ChallengeFolder(tmp_path / "webroot").prepare()


def test_both_families_are_served(folder: ChallengeFolder, port: int) -> None:
    """The load balancer may come by IPv6 as well, where there is IPv6."""
    (folder.path / "token").write_bytes(b"x")
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    connection.request("GET", f"{CHALLENGE_PATH}token", headers={"Connection": "close"})
    with connection.getresponse() as response:
        assert response.status == 200
    connection.close()


def test_a_server_that_is_awake_already_stops_as_well(folder: ChallengeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that just ended has woken its thread, which is faster at its end than who asked for that."""
    server = ChallengeServer(folder, 0)
    server.start()
    trigger: Any = server._server.trigger
    pull = trigger._physical_pull

    def pull_late() -> None:
        os.write(trigger.trigger, b"x")
        server._thread.join(timeout=0.2)
        pull()

    monkeypatch.setattr(trigger, "_physical_pull", pull_late)
    server.stop()
    assert not server._thread.is_alive()
