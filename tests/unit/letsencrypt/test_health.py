"""The health check believes what the loop promised, and what the challenge server answers."""

from datetime import timedelta
from pathlib import Path

import pytest

from letsencrypt.health import MARGIN, STEP, Heartbeat, check_health
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from proxy_agent.daemon.errors import OperationalError


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """The time that was set."""
        return self.seconds


@pytest.mark.parametrize(
    ("pause", "silence"), [(timedelta(hours=1), timedelta(hours=1) + MARGIN), (None, STEP), (timedelta(), MARGIN)]
)
def test_the_loop_is_judged_by_its_own_plans(tmp_path: Path, pause: timedelta | None, silence: timedelta) -> None:
    """Silence is fine for as long as was announced, and a fault from then on."""
    clock = Clock()
    heartbeat = Heartbeat(tmp_path / "heartbeat", clock)
    heartbeat.promise(pause)

    clock.seconds += silence.total_seconds()
    heartbeat.check()
    clock.seconds += 5
    with pytest.raises(OperationalError, match="should have been heard of 5 s ago"):
        heartbeat.check()


@pytest.mark.parametrize("content", [None, "", "soon"])
def test_a_loop_that_never_began_is_not_healthy(tmp_path: Path, content: str | None) -> None:
    """Without a promise there is nothing to believe."""
    if content is not None:
        (tmp_path / "heartbeat").write_text(content)
    with pytest.raises(OperationalError, match="The loop has not begun"):
        Heartbeat(tmp_path / "heartbeat", Clock()).check()


def test_a_healthy_container_says_so(tmp_path: Path) -> None:
    """Challenges answered and a promise kept make one sentence; without either, one says what is missing."""
    folder = ChallengeFolder(tmp_path / "webroot")
    folder.prepare()
    server = ChallengeServer(folder, 0)
    server.start()
    heartbeat = Heartbeat(tmp_path / "heartbeat", Clock())
    try:
        with pytest.raises(OperationalError, match="The loop has not begun"):
            check_health(server.port, heartbeat)
        heartbeat.promise(None)
        assert check_health(server.port, heartbeat) == (
            f"Challenges are answered on port {server.port}, and the loop is alive."
        )
    finally:
        server.stop()
    with pytest.raises(OperationalError, match=f"port {server.port} does not answer"):
        check_health(server.port, heartbeat)
