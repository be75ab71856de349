"""proxy_agent.process: what ``haproxy -c`` thinks of a configuration."""

from pathlib import Path

import pytest

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.process import check_configuration


def test_a_good_configuration_is_accepted(tmp_path: Path) -> None:
    """Without it being run."""
    (tmp_path / "haproxy.cfg").write_text("frontend x\n    bind 127.0.0.1:1\n    timeout client 1s\n")
    assert check_configuration(tmp_path / "haproxy.cfg").accepted


def test_a_bad_configuration_is_refused_with_its_line(tmp_path: Path) -> None:
    """In HAProxy's own words."""
    (tmp_path / "haproxy.cfg").write_text("global\n    nonsense\n")
    verdict = check_configuration(tmp_path / "haproxy.cfg")
    assert not verdict.accepted
    assert "haproxy.cfg:2] : unknown keyword 'nonsense'" in verdict.reasons


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    """It is no fault of the program's."""
    assert not check_configuration(tmp_path / "haproxy.cfg").accepted


def test_a_program_that_cannot_be_run_is_an_operational_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That says nothing about the configuration."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperationalError, match="Cannot run haproxy to check a configuration"):
        check_configuration(tmp_path / "haproxy.cfg")
