"""One run is bounded in time and in what it can break, whatever its process does."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from letsencrypt.certonly import Directory, Folders, Options, arguments
from letsencrypt.forks import Certbot
from letsencrypt.lineages import parse_domains
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from tests.acme.pebble import LOOPBACK
from tests.waiting import until

pytestmark = pytest.mark.acme


SERVER = """
from letsencrypt.forkserver import serve

def run(_order):
    exec({script!r}, dict(globals(), _order=_order))
    return 0

serve(run)
"""


def run(script: str, folder: Path, limit: float = 20.0) -> Outcome:
    """The outcome of a run in which the Python *script* plays certbot's process."""
    certbot = Certbot(
        lambda: datetime.now(UTC),
        limit=timedelta(seconds=limit),
        grace=timedelta(seconds=0.3),
        command=(sys.executable, "-c", SERVER.format(script=script)),
    )
    return certbot.run([], folder)


FINALIZING = """print('{"rc": 1, "class": "crash", "finalized": true}', flush=True);"""
HANGING = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"


def test_a_run_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """A process that does not end when it is asked to is ended."""
    outcome = run(HANGING, tmp_path, limit=0.5)
    assert outcome.failure is Failure.CRASH
    assert outcome.detail.endswith("it did not end within 0:00:00.500000 and was stopped")


def test_a_run_that_is_killed_after_finalization_may_have_issued(tmp_path: Path) -> None:
    """The report from before the end counts where there is no later one."""
    assert run(FINALIZING + HANGING, tmp_path, limit=0.5).failure is Failure.AFTER_FINALIZE


def test_a_run_that_hangs_after_the_order_hangs_at_the_ca(tmp_path: Path) -> None:
    """Nothing else is waited for then, so another CA may do better; what hangs before that may be a hook."""
    ordered = FINALIZING.replace("finalized", "ordered")
    for ending in (HANGING, "import signal; signal.pause()"):
        outcome = run(ordered + ending, tmp_path, limit=0.5)
        assert (outcome.failure, outcome.ordered) == (Failure.SERVER, True)
        assert outcome.detail.endswith("it did not end within 0:00:00.500000 and was stopped")


def test_the_last_report_counts(tmp_path: Path) -> None:
    """A run that goes on to a good end is good."""
    ending = """print('{"rc": 0, "class": "ok"}')"""
    assert run(FINALIZING + ending, tmp_path).failure is None


def test_a_run_that_dies_without_a_word_is_a_crash(tmp_path: Path) -> None:
    """A process that is killed leaves its status."""
    outcome = run("import os; os.kill(os.getpid(), 9)", tmp_path)
    assert outcome == Outcome(Failure.CRASH, "certbot ended with status -9: it said nothing")


def test_a_talkative_run_does_not_hang(tmp_path: Path) -> None:
    """However much is written to standard error, it is drained, and the last line tells what happened."""
    outcome = run("import sys; sys.stderr.write('x' * 5_000_000 + '\\nthe end\\n'); sys.exit(3)", tmp_path)
    assert outcome.detail == "certbot ended with status 3: the end"


def test_nothing_of_a_run_outlives_it(tmp_path: Path) -> None:
    """What certbot started, such as a hook, is ended with it when it holds up the run."""
    child = tmp_path / "pid"
    script = (
        "import subprocess; p = subprocess.Popen(['sleep', '300']);"
        f"open({str(child)!r}, 'w').write(str(p.pid)); import os; os._exit(0)"
    )
    run(script, tmp_path, limit=1.0)
    until(lambda: not is_running(int(child.read_text())), "the hook has ended")


def is_running(pid: int) -> bool:
    """Whether a process of this id does anything; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_signal_to_our_group_does_not_reach_it(tmp_path: Path) -> None:
    """The run has a session of its own, so Ctrl-C on the container does not kill it in mid-order."""
    script = """import os, json; print(json.dumps({"rc": 1, "class": "usage", "detail": str(os.getsid(0))}))"""
    assert run(script, tmp_path).detail != f"certbot says {os.getsid(0)}"


@pytest.fixture
def deaf_server() -> Iterator[str]:
    """The URL of a server that accepts connections and never says a word."""
    connections: list[socket.socket] = []
    with socket.create_server((LOOPBACK, 0)) as listener:

        def accept() -> None:
            try:
                while True:
                    connections.append(listener.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"https://{LOOPBACK}:{listener.getsockname()[1]}/dir"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in connections:
        connection.close()


def test_certbot_ends_when_the_ca_hangs(tmp_path: Path, deaf_server: str) -> None:
    """Certbot itself gets so much time and no more when a CA never answers."""
    folders = Folders(*(tmp_path / name for name in ("config", "work", "logs", "webroot")))
    folders.webroot.mkdir()
    [lineage] = parse_domains("slow.example").lineages
    command = arguments(lineage, Options((), Directory(deaf_server)), folders, None)

    certbot = Certbot(lambda: datetime.now(UTC), timedelta(seconds=2), timedelta(seconds=5))
    outcome = certbot.run(command, tmp_path)

    assert outcome.failure is Failure.CRASH
    assert outcome.detail.endswith("it did not end within 0:00:02 and was stopped")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_server_that_is_killed_is_started_again(tmp_path: Path) -> None:
    """The next run begins in a new one; a run under way when its server dies goes on to its own end."""
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    script = (
        f"import pathlib, threading; pathlib.Path({str(begun)!r}).touch(); pause = threading.Event()\n"
        f"while not pathlib.Path({str(go_on)!r}).exists(): pause.wait(0.01)\n"
        """print('{"rc": 0, "class": "ok"}')"""
    )
    command = (sys.executable, "-c", SERVER.format(script=script))
    certbot = Certbot(lambda: datetime.now(UTC), timedelta(seconds=20), timedelta(seconds=1), command)
    with ThreadPoolExecutor() as pool:
        run_under_way = pool.submit(certbot.run, [], tmp_path)
        until(begun.exists, "the run has begun")
        first = certbot.server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: not is_running(first), "the server is gone")
        go_on.touch()
        assert run_under_way.result().failure is None
    assert certbot.run([], tmp_path).failure is None
    assert certbot.server.pid != first


def test_a_server_that_cannot_be_started_is_a_failed_run(tmp_path: Path) -> None:
    """Whatever is wrong with it, the loop hears of it and goes on."""
    command = (sys.executable, "-c", "raise SystemExit('no')")
    certbot = Certbot(lambda: datetime.now(UTC), timedelta(seconds=20), timedelta(seconds=1), command)
    assert certbot.run([], tmp_path) == Outcome(Failure.CRASH, "certbot cannot be started")


def test_a_server_without_work_ends(tmp_path: Path) -> None:
    """Its memory is given back, and the next run starts another."""
    command = (sys.executable, "-c", SERVER.format(script="").replace("serve(run)", "serve(run, idle=0.1)"))
    certbot = Certbot(lambda: datetime.now(UTC), command=command)
    for _ in range(2):
        assert certbot.run([], tmp_path).detail == "certbot ended with status 0: it said nothing"
        ended = certbot.server.pid
        assert ended is not None
        until(lambda pid=ended: not Path(f"/proc/{pid}").exists(), "the server has ended and was reaped")  # type: ignore[misc]


def test_a_server_ends_with_the_loop(tmp_path: Path) -> None:
    """However that ended: nobody holds the other end of its socket any more."""
    code = (
        "import pathlib, sys, os, signal, datetime\n"
        "from letsencrypt.forks import Certbot\n"
        f"certbot = Certbot(datetime.datetime.now, command=(sys.executable, '-c', {SERVER.format(script='')!r}))\n"
        f"certbot.run([], pathlib.Path({str(tmp_path)!r}))\n"
        "print(certbot.server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    until(lambda: not is_running(int(done.stdout)), "the server has ended")


def test_many_runs_at_a_time_are_kept_apart(tmp_path: Path) -> None:
    """Each hears its own words and its own status, and nothing of them is left open."""
    script = (
        "import json, sys; print(json.dumps({'rc': 1, 'class': 'usage', 'detail': _order.decode()}))"
        "; sys.stderr.write('x' * 100_000)"
    )
    command = (sys.executable, "-c", SERVER.format(script=script))
    certbot = Certbot(lambda: datetime.now(UTC), command=command)
    certbot.run([], tmp_path)
    before = set(Path("/proc/self/fd").iterdir())  # some of which are others' garbage
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda n: certbot.run([f"run-{n}"], tmp_path), range(64)))
    assert [f'"run-{n}"' in outcome.detail for n, outcome in enumerate(outcomes)] == [True] * 64
    assert set(Path("/proc/self/fd").iterdir()) <= before
