"""What the container says when it starts."""

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from letsencrypt.__main__ import main, tell_settings
from letsencrypt.settings import load
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from tests.ports import free_port


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {},
            ["DOMAINS is not set: certificates are obtained for the VIRTUAL_HOST names of containers, as they start."],
        ),
        (
            {"AUTO_DOMAINS": "no"},
            ["There is nothing to do: set DOMAINS to the names that need certificates, like www.example.com."],
        ),
        (
            {"DOMAINS": "a.example"},
            ["EMAIL is not set, so the CA has no way to write to you about the account."],
        ),
        ({"DOMAINS": "a.example", "EMAIL": "me@example.com"}, []),
        (
            {"DOMAINS": "a.example, b_c", "EMAIL": "me@example.com"},
            ["DOMAINS: skipped b_c: not a host name: 'b_c' holds a character other than letters, digits and '-'."],
        ),
        (
            {"DOMAINS": "a.example", "EMAIL": "me@example.com", "OPTIONS": "-d x"},
            ["OPTIONS -d: list the names in DOMAINS instead. No certificate is ordered until OPTIONS is changed."],
        ),
    ],
)
def test_the_settings_are_commented_once(
    environ: dict[str, str], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Each thing that is not done, or should be set, is one line; where all is well there is none."""
    caplog.set_level(logging.INFO)
    tell_settings(load(environ))
    assert caplog.messages == told


def test_a_preflight_says_what_it_saw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line for each verdict, the worst of which is the exit status; what is no name is refused in words."""
    port = free_port()
    folder = ChallengeFolder(tmp_path / "webroot")
    folder.prepare()
    environ = {
        "RUN_FOLDER": str(tmp_path),
        "WANTED_FILE": str(tmp_path / "none"),
        "DOMAINS": "127.0.0.1",
        "OPTIONS": f"--server https://127.0.0.1:{free_port()}/dir",
    }

    def run(service_port: int, *names: str) -> tuple[int, str]:
        for name, value in {**environ, "PROBE_PORT": str(service_port)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LOAD_BALANCER_SERVICE_NAME", f"127.0.0.1:{service_port}")
        result = CliRunner().invoke(main, ["preflight", *names])
        return result.exit_code, result.output

    server = ChallengeServer(folder, 0)
    server.start()
    status, said = run(server.port)
    server.stop()
    assert (status, said.splitlines()[0]) == (
        1,
        f"ok        The load balancer 127.0.0.1:{server.port} passes challenges on.",
    )
    assert said.splitlines()[1].endswith("cannot be used: no connection comes about.")
    assert said.splitlines()[2] == "ok        127.0.0.1 at 127.0.0.1 passes challenges on."

    status, said = run(port, "127.0.0.2")
    assert status == 2
    assert said.startswith(f"fails     The load balancer 127.0.0.1:{port} does not pass challenges on: ")
    assert "doubtful  127.0.0.2 at 127.0.0.2 cannot be reached from here: Connection refused." in said
    assert run(port, "b_c")[1].startswith("Error: 'b_c' is not a host name")


def test_who_is_told_can_be_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line for each, without the URL, and the exit status says whether each took it."""
    assert "Nobody is to be told" in CliRunner().invoke(main, ["notify"]).stderr
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ncat >{tmp_path}/told\n")
    program.chmod(0o755)
    monkeypatch.setenv("NOTIFY_EXEC", str(program))
    result = CliRunner().invoke(main, ["notify"])
    assert (result.exit_code, result.output) == (0, "The program of NOTIFY_EXEC took it.\n")
    assert json.loads((tmp_path / "told").read_text())["title"] == "certificates: test"


@pytest.mark.slow
def test_who_cannot_be_told_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """After three tries, with seconds between them; the others are told."""
    monkeypatch.setenv("NOTIFY_EXEC", "/bin/true")
    monkeypatch.setenv("NOTIFY_URL", f"http://127.0.0.1:{free_port()}/secret")
    result = CliRunner().invoke(main, ["notify"])
    assert result.exit_code == 1
    assert result.output == (
        "The webhook of NOTIFY_URL failed: Connection refused.\nThe program of NOTIFY_EXEC took it.\n"
    )


def test_bad_settings_end_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be used is said on standard error, with exit status 2."""
    monkeypatch.setenv("LOG_LEVEL", "loud")
    result = CliRunner().invoke(main, ["healthcheck"])
    assert result.exit_code == 2
    assert result.stderr.startswith("LOG_LEVEL='loud' cannot be used: ")
