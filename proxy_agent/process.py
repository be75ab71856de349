"""The edge to the haproxy program: whether it accepts a configuration."""

import subprocess
from pathlib import Path

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.runtime import Verdict

_TIMEOUT = 120.0


def check_configuration(configuration: Path) -> Verdict:
    """Ask ``haproxy -c`` about a file, with its reasons where it refuses; raises OperationalError if it cannot be run.

    It does not see everything: a port that is taken or too few descriptors show only at the reload.
    """
    try:
        outcome = subprocess.run(
            ["haproxy", "-c", "-f", configuration],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationalError(f"Cannot run haproxy to check a configuration: {error}.") from error
    return Verdict(outcome.returncode == 0, outcome.stderr)
