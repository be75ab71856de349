"""proxy_agent.daemon.liveness, in processes of their own."""

import subprocess
import sys

HANGS = """
import threading
from proxy_agent.daemon.liveness import end_unless_called_again

def look_at_the_world():
    end_unless_called_again({within})
    threading.Event().wait()

look_at_the_world()
"""
KEEPS_UP = """
import threading
from proxy_agent.daemon.liveness import end_unless_called_again

for _ in range(20):
    end_unless_called_again(60)
    threading.Event().wait(0.01)
end_unless_called_again(1000)
print("well")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_a_process_that_hangs_ends_and_says_where_it_hung() -> None:
    """Its supervisor starts another one."""
    outcome = run(HANGS.format(within=0.2))
    assert outcome.returncode == 1
    assert "in look_at_the_world" in outcome.stderr


def test_a_process_that_hangs_in_c_ends_too() -> None:
    """A lock that is never let go, or a disk that does not answer: no line of Python runs any more."""
    program = (
        "import os, signal; from proxy_agent.daemon.liveness import end_unless_called_again; "
        "end_unless_called_again(0.2); signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); "
        "read, _ = os.pipe(); os.read(read, 1)"
    )
    assert run(program).returncode == 1


def test_a_process_that_keeps_up_is_left_alone() -> None:
    """And one that ends by itself is not waited for."""
    outcome = run(KEEPS_UP)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "well\n", "")
