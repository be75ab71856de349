"""Who may know whom: the arrows between packages, and the sizes that keep a module pleasant to read."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted([*ROOT.glob("proxy_agent/**/*.py"), *ROOT.glob("letsencrypt/**/*.py")])
STANDARD_LIBRARY = sys.stdlib_module_names

LONGEST_MODULE = 260
LONGEST_FUNCTION = 50
DEEPEST_NESTING = 3

ONE_MODULE_EACH = {
    "docker": {"proxy_agent/containers.py"},
    "watchdog": {"proxy_agent/certificates.py"},
    "jinja2": {"proxy_agent/routing/render.py"},
    "subprocess": {"proxy_agent/process.py", "letsencrypt/runner.py", "letsencrypt/hooks.py"},
    "yaml": {"proxy_agent/routing/multiports.py"},
    "waitress": {"letsencrypt/webroot.py"},
    "certbot": {"letsencrypt/certbot_process.py", "letsencrypt/certbot_seams.py", "letsencrypt/certbot_hooks.py"},
}
"""The only modules that may import each of these."""

ALLOWED = {
    "proxy_agent/daemon": {"pydantic", "pythonjsonlogger", "proxy_agent.daemon"},
    "proxy_agent/tls": {"cryptography", "idna", "proxy_agent.tls"},
    "proxy_agent/routing": {
        *("jinja2", "yaml"),
        *("proxy_agent.routing", "proxy_agent.tls", "proxy_agent.daemon", "proxy_agent.settings"),
    },
}
"""What the modules of a shared or pure folder may import beside the standard library."""

IMPURE = {"socket", "subprocess", "threading", "os", "time", "requests"}
"""What pure folders may not import of the standard library either."""

Node = ast.stmt | ast.excepthandler | ast.match_case


def name_of(module: Path) -> str:
    """The path as it stands in the tables above."""
    return module.relative_to(ROOT).as_posix()


def imports(module: Path) -> set[str]:
    """Everything *module* imports, by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(module: Path) -> set[str]:
    """The top-level packages that *module* imports."""
    return {name.partition(".")[0] for name in imports(module)}


each_module = pytest.mark.parametrize("module", MODULES, ids=name_of)


@each_module
def test_each_outside_library_has_one_door(module: Path) -> None:
    """Whoever replaces one of these libraries opens one file."""
    for library, doors in ONE_MODULE_EACH.items():
        assert library not in packages(module) or name_of(module) in doors


@each_module
def test_shared_and_pure_folders_know_only_their_own_kind(module: Path) -> None:
    """The arrows point inward: nothing pure imports an edge, a clock or the network."""
    for folder, allowed in ALLOWED.items():
        if not name_of(module).startswith(f"{folder}/"):
            continue
        foreign = {name for name in imports(module) if name.partition(".")[0] not in STANDARD_LIBRARY}
        strangers = {name for name in foreign if not any(name == a or name.startswith(f"{a}.") for a in allowed)}
        assert strangers - {"proxy_agent"} == set()
        if not folder.endswith("daemon"):
            assert packages(module) & IMPURE == set()


@each_module
def test_letsencrypt_takes_only_what_is_shared(module: Path) -> None:
    """Of the agent, its image holds ``tls`` and ``daemon`` and nothing else; and the agent takes nothing back."""
    if name_of(module).startswith("letsencrypt/"):
        taken = {name for name in imports(module) if name.startswith("proxy_agent.")}
        assert all(name.startswith(("proxy_agent.tls", "proxy_agent.daemon")) for name in taken)
    else:
        assert "letsencrypt" not in packages(module)


@each_module
def test_the_environment_is_read_in_one_place(module: Path) -> None:
    """Only the entry points look at it, to hand it to the settings; a child of ours may pass its own on."""
    reads = "os.environ" in module.read_text()
    assert not reads or module.name in {"__main__.py", "runner.py", "certbot_process.py", "hooks.py"}


@each_module
def test_modules_stay_short(module: Path) -> None:
    """A module is read in one sitting."""
    assert len(module.read_text().splitlines()) <= LONGEST_MODULE


@each_module
def test_functions_stay_short_and_flat(module: Path) -> None:
    """A function fits a screen and a mind."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name
            assert depth(node.body) <= DEEPEST_NESTING, node.name


def depth(body: list[ast.stmt]) -> int:
    """How many blocks stand inside each other; functions inside are judged on their own, "elif" adds nothing."""
    deepest = 0
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        inner = [depth(block) for block in blocks(node)]
        own = 1 if inner else 0
        chained = isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
        if chained:
            inner[-1] -= 1
        deepest = max([deepest, *(own + level for level in inner)])
    return deepest


def blocks(node: Node) -> Iterator[list[ast.stmt]]:
    """The blocks of statements inside a statement."""
    for field in ("body", "orelse", "finalbody"):
        if block := getattr(node, field, None):
            yield block
    for field in ("handlers", "cases"):
        for part in getattr(node, field, []):
            yield part.body
