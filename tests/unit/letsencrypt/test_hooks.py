"""The process that brings events to their receivers: started, left alone, and no burden to who started it."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from letsencrypt.hooks import COURIER, start_courier
from letsencrypt.outbox import Outbox
from letsencrypt.rounds import Job, is_under_way
from proxy_agent.daemon.errors import OperationalError
from tests.waiting import until


def test_a_courier_goes_on_alone(tmp_path: Path) -> None:
    """Who starts it is back while the hook still hangs, has no child to wait for, and no file open more than before."""
    fifo, done = tmp_path / "fifo", tmp_path / "done"
    os.mkfifo(fifo)
    Outbox(tmp_path / "deploy-hooks").put("a", {"command": f"read word <{fifo}; touch {done}"}, datetime.now(UTC))
    before = len(list(Path("/proc/self/fd").iterdir()))
    start_courier(Job(folder=tmp_path).model_dump_json())
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    until(lambda: is_under_way(tmp_path), "the round begins")
    start_courier(Job(folder=tmp_path).model_dump_json())
    assert not done.exists()
    fifo.write_text("go on\n")
    until(done.exists, "the hook ends")
    until(lambda: not is_under_way(tmp_path), "the round ends")
    assert list((tmp_path / "deploy-hooks").glob("*.json")) == []


def test_a_courier_that_cannot_start_is_said() -> None:
    """It is tried again at the next look."""
    with pytest.raises(OperationalError, match=r"^Events cannot be sent now: FileNotFoundError\.$"):
        start_courier("", ("/nowhere",))
    with pytest.raises(OperationalError, match=r"^Events cannot be sent now: CalledProcessError\.$"):
        start_courier("", (sys.executable, "-c", "raise SystemExit(1)"))
    assert COURIER[0] == sys.executable
