"""proxy_agent.__main__: the commands of the HAProxy container."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy_agent.__main__ import EXIT_SETTINGS, main
from proxy_agent.status import Status


def companion(*arguments: str, **environment: str) -> Result:
    """Run a command in this environment."""
    return CliRunner(env=environment).invoke(main, arguments)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A run folder with the status of an agent that has just looked."""
    now = datetime.now(UTC)
    told = Status(
        cycle_at=now,
        stale_after=now + timedelta(minutes=2),
        haproxy_running=True,
        containers_as_of=None,
        problems=("x",),
    )
    told.write(tmp_path / "status.json")
    return tmp_path


@pytest.mark.parametrize("command", ["prepare", "run", "status", "healthcheck"])
def test_bad_settings_end_every_command_with_all_of_them(command: str) -> None:
    """Exit code 2, before anything is touched, with a line for each variable."""
    result = companion(command, FORCE_SSL="maybe", LOG_LEVEL="loud")
    assert result.exit_code == EXIT_SETTINGS
    assert [line.split("=")[0] for line in result.stderr.splitlines()] == ["FORCE_SSL", "LOG_LEVEL"]


def test_the_status_is_for_people(published: Path) -> None:
    """Sentences, unless asked otherwise."""
    result = companion("status", RUN_FOLDER=str(published))
    assert result.exit_code == 0
    assert result.stdout.startswith("HAProxy answers; the agent keeps up")


def test_the_status_is_for_programs_too(published: Path) -> None:
    """The same as JSON."""
    result = companion("status", "--json", RUN_FOLDER=str(published))
    assert json.loads(result.stdout)["problems"] == ["x"]


@pytest.mark.parametrize("command", ["status", "healthcheck"])
def test_what_cannot_be_told_is_an_error_in_one_line(command: str, tmp_path: Path) -> None:
    """No traceback, and an exit code that Docker understands."""
    result = companion(command, RUN_FOLDER=str(tmp_path), HTTP_PORT="1", HTTPS_PORT="1")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
