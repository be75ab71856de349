"""The demo keeps its promise."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.stack import LIMIT, ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def demo() -> Iterator[str]:
    """The output of the demo, which is removed afterwards as ``make down`` does."""
    files = ["-p", "companion-demo", "-f", "compose.yaml", "-f", "compose.demo.yaml"]
    try:
        command = ["tests/demo/demo.sh"]
        outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        yield outcome.stdout
    finally:
        down = ["docker", "compose", *files, "down", "--volumes", "--remove-orphans"]
        subprocess.run(down, cwd=ROOT, capture_output=True, timeout=LIMIT, check=True)


def test_demo_ends_with_commands_that_work(demo: str) -> None:
    """Every name answers over verified HTTPS, plain HTTP redirects, and nothing went wrong on the way."""
    for name in ("app.demo.test", "www.demo.test", "api.demo.test"):
        assert f"Hello from {name[:3].replace('www', 'app')}: you asked for https://{name}/" in demo
    assert "location: https://app.demo.test/hello" in demo.lower()
    assert "ERROR" not in demo
    # The stacks of other tests run on the same host, and it is right to say why their containers are not served here.
    assert [line for line in demo.splitlines() if "WARNING" in line and "companion-e2e-" not in line] == []
