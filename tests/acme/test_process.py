"""The container's process: signals, exit status, health; and certbot's process below it."""

import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from letsencrypt import certbot_seams
from tests.acme.container import Container
from tests.acme.pebble import LOOPBACK, Authority, daemon
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.acme

COMMAND = [sys.executable, "-m", "letsencrypt"]


class Running:
    """``python -m letsencrypt`` with its log."""

    def __init__(self, process: subprocess.Popen[str], log: Path, environ: dict[str, str]) -> None:
        self.process = process
        self._log = log
        self._environ = environ

    def wait_for(self, words: str) -> None:
        """Wait until the log says *words*."""
        until(lambda: words in self.words(), f"the log says {words!r}")

    def words(self) -> str:
        """The log so far."""
        return self._log.read_text()

    def stop(self) -> int:
        """Its exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def health(self) -> subprocess.CompletedProcess[str]:
        """What the health check says."""
        command = [*COMMAND, "healthcheck"]
        environ = {**os.environ, **self._environ}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=False)


@contextmanager
def running(container: Container, domains: str, options: str, **more: str) -> Iterator[Running]:
    """The container as a process of its own."""
    environ = {**container.environ(domains, options), **more}
    log = container.run / "log"
    with daemon(COMMAND, log, environ) as process:
        yield Running(process, log, environ)


def test_the_wait_for_the_load_balancer_is_said_once_and_ends_at_a_stop(container: Container) -> None:
    """While nobody passes challenges on, one line says so, the container is healthy, and it stops at once."""
    nobody = f"{LOOPBACK}:{free_port()}"
    with running(container, "a.example", "", LOAD_BALANCER_SERVICE_NAME=nobody) as program:
        program.wait_for("Waiting for the load balancer")
        assert program.health().returncode == 0
        assert program.stop() == 0

    [line] = program.words().splitlines()
    assert line.endswith(
        f"Waiting for the load balancer {nobody} to pass challenges on: "
        f"its port {nobody.partition(':')[2]} cannot be reached: Connection refused."
    )


def test_a_stop_lets_the_running_certbot_finish_and_starts_no_other(container: Container, authority: Authority) -> None:
    """SIGTERM in the middle of a run: that certificate is finished and published, the next one is not begun."""
    challenges = container.run / "webroot/.well-known/acme-challenge"
    options = f"--server {authority.directory}"
    alone = {"PYTHONPATH": "", "CONCURRENCY": "1"}
    with running(container, "one.example; two.example", options, **alone) as program:
        program.wait_for("passes challenges on")
        until(lambda: any(map(is_challenge, challenges.iterdir())), "certbot has written a challenge")
        assert program.stop() == 0

    authority.verify(container.published("one.example").pem, "one.example")
    assert not (container.certs / "two.example.pem").exists()
    assert "two.example" not in program.words()


def is_challenge(path: Path) -> bool:
    """Whether certbot wrote it, and not the probe of the load balancer."""
    return not path.name.startswith("probe-")


def test_without_domains_it_waits_in_good_health(container: Container) -> None:
    """With nothing set, one line says what to set; the container keeps running and is healthy."""
    with running(container, "", "", EMAIL="") as program:
        program.wait_for("DOMAINS is not set")
        health = program.health()
        assert program.stop() == 0

    assert health.returncode == 0
    assert health.stdout.endswith("and the loop is alive.\n")
    assert len(program.words().splitlines()) == 1


def test_a_refused_option_does_not_end_the_container(container: Container) -> None:
    """An option that is ours is answered with what to use instead, and the container stays, in good health."""
    with running(container, "a.example", "--csr my.csr") as program:
        program.wait_for("OPTIONS --csr: certbot makes the private key itself")
        assert program.health().returncode == 0
        assert program.stop() == 0


def test_a_container_that_is_gone_is_not_healthy(container: Container) -> None:
    """The health check fails with a sentence when nobody answers."""
    with running(container, "", "") as program:
        program.wait_for("DOMAINS is not set")
        program.stop()
        health = program.health()

    assert health.returncode == 1
    assert health.stderr.startswith("Error: The challenge server on port ")


def test_a_bad_setting_is_said_with_status_2(container: Container) -> None:
    """A variable that cannot be used is named with its value and what it accepts."""
    with running(container, "", "", RENEWAL_INTERVAL="often") as program:
        assert program.process.wait(timeout=20) == 2

    assert program.words().startswith("RENEWAL_INTERVAL='often' cannot be used: ")


def test_the_private_functions_of_certbot_are_as_we_know_them() -> None:
    """What the runner listens to exists with the signature it counts on; else every failure would say less."""
    for owner, name, parameters in certbot_seams.PRIVATE:
        assert tuple(inspect.signature(getattr(owner, name)).parameters) == parameters


ONE_RUN = """
import sys
from letsencrypt.certbot_process import run_once
sys.exit(run_once(sys.argv[1].encode()))
"""


def test_certbots_process_says_one_json_line(tmp_path: Path) -> None:
    """Standard output holds nothing but the report, whatever certbot prints."""
    order = json.dumps({"arguments": ["certonly", "--nonsense"], "temporary_folder": str(tmp_path)})
    command = [sys.executable, "-c", ONE_RUN, order]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    [line] = done.stdout.splitlines()
    report = json.loads(line)
    assert report.pop("secs") > 0
    assert report == {
        "class": "usage",
        "rc": 1,
        "code": "UsageError",
        "detail": "unrecognized arguments: --nonsense",
        "sub": [],
        "fails": [],
        "url": "",
        "http": [],
        "ordered": False,
        "finalized": False,
    }
