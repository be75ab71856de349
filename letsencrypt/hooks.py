"""Programs of the operator's, run one at a time and bounded; and the process of our own that does so."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from proxy_agent.daemon.errors import OperationalError

LIMIT = timedelta(minutes=2)
"""For one run of a program."""
GRACE = timedelta(seconds=5)
"""From SIGTERM to SIGKILL."""
SECRETS = frozenset({"NOTIFY_URL"})
"""What no program is handed on: it holds the tokens of others."""
COURIER = (
    sys.executable,
    "-c",
    "import os\nif os.fork(): os._exit(0)\nfrom letsencrypt.courier import main\nmain()",
)
"""Its parent ends before anything is imported, so whoever starts it waits for no more than that."""
_LONGEST_WORD = 300


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    fault: str = ""
    """What was wrong as a part of a sentence; empty if it ended with 0."""


def run_program(
    words: Sequence[str], text: str, environ: Mapping[str, str], limit: timedelta = LIMIT, grace: timedelta = GRACE
) -> Ended:
    """Run *words* with *text* on standard input and *environ* beside our own environment, to its end or its limit.

    In a session of its own, of which nothing is left when it has to be stopped.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in SECRETS}
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**inherited, **environ},
            start_new_session=True,
        )
    except OSError as error:
        return Ended(f"it cannot be run: {error.strerror}")
    with process:
        return _finish(process, text, limit, grace)


def _finish(process: subprocess.Popen[str], text: str, limit: timedelta, grace: timedelta) -> Ended:
    with contextlib.suppress(subprocess.TimeoutExpired):
        _, said = process.communicate(text, timeout=limit.total_seconds())
        return Ended(_fault(process.returncode, said))
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=grace.total_seconds())
            break
    for pipe in (process.stdin, process.stderr):
        # What left the session may hold them open for ever.
        if pipe is not None:
            pipe.close()
    return Ended(f"it did not end within {limit} and was stopped")


def _fault(status: int, said: str) -> str:
    if status == 0:
        return ""
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
    word = " ".join("".join(c if c.isprintable() else " " for c in last).split())[:_LONGEST_WORD]
    how = f"the signal {-status}" if status < 0 else f"the status {status}"
    return f"it ended with {how}: {word}"


def start_courier(job: str, command: Sequence[str] = COURIER) -> None:
    """Start the process that takes events to their receivers, with *job* on its standard input, and leave it alone.

    It puts itself in the background at once, so this returns in a moment, whatever any receiver does; nothing of it
    has to be waited for later. Raises OperationalError if it cannot be started.
    """
    try:
        subprocess.run(
            command,
            input=job.encode(),
            cwd=Path(__file__).parents[1],
            start_new_session=True,
            timeout=GRACE.total_seconds() * 2,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OperationalError(f"Events cannot be sent now: {type(error).__name__}.") from error
