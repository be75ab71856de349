"""What a person sees: a browser that trusts the authority's root opens the page."""

import subprocess
from pathlib import Path

from tests.e2e.stack import LIMIT, Stack
from tests.waiting import until


def test_a_browser_opens_the_page(stack: Stack, tmp_path: Path) -> None:
    """Chromium follows the redirect from http:// to https:// and shows the page, with no warning in between."""
    stack.up("production", "--wait")
    stack.up("haproxy", "letsencrypt", "docker-gate", "app", DOMAINS="one.test")
    root = stack.until_trusted(["one.test"], "production")
    until(lambda: stack.http("one.test").status == 301, "the redirect of a covered host")
    assert "Hello from app: you asked for https://one.test/" in _page(stack, tmp_path / "friend", root).stdout
    stranger = _page(stack, tmp_path / "stranger", None)
    assert "Hello from app" not in stranger.stdout, "a browser that does not know the root opens nothing"
    assert stranger.returncode != 0


def _page(stack: Stack, home: Path, root: str | None) -> subprocess.CompletedProcess[str]:
    """The page as Chromium renders it, with a profile of its own; DNS is replaced, nothing else."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    _run("certutil", "-d", f"sql:{database}", "-N", "--empty-password", home=home)
    if root:
        (home / "root.pem").write_text(root)
        added = ("-A", "-t", "C,,", "-n", "test root", "-i", str(home / "root.pem"))
        _run("certutil", "-d", f"sql:{database}", *added, home=home)
    rules = f"MAP one.test:80 127.0.0.1:{stack.port(80)}, MAP one.test:443 127.0.0.1:{stack.port(443)}"
    return _run(
        "chromium-headless-shell",
        "--no-sandbox",
        f"--user-data-dir={home / 'profile'}",
        f"--host-resolver-rules={rules}",
        "--dump-dom",
        "http://one.test/",
        home=home,
    )


def _run(*command: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
