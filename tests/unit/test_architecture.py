"""Who may know whom: the arrows between packages, and the sizes that keep a module pleasant to read."""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STANDARD_LIBRARY = sys.stdlib_module_names

LONGEST_MODULE = 260
LONGEST_FUNCTION = 50
DEEPEST_NESTING = 3

ONE_MODULE_EACH = {
    "docker": {"proxy_agent/containers.py"},
    "watchdog": {"proxy_agent/certificates.py"},
    "jinja2": {"proxy_agent/routing/render.py"},
    "subprocess": {"proxy_agent/process.py", "letsencrypt/forks.py", "letsencrypt/hooks.py"},
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


@dataclass(frozen=True)
class Module:
    """One of ours, read and parsed once for all rules."""

    name: str
    """Its path, as it stands in the tables above."""
    text: str

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All there is in it."""
        return tuple(ast.walk(ast.parse(self.text)))

    @cached_property
    def imports(self) -> set[str]:
        """Everything it imports, by its full name."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return found

    @cached_property
    def packages(self) -> set[str]:
        """The top-level packages that it imports."""
        return {name.partition(".")[0] for name in self.imports}


MODULES = tuple(
    Module(path.relative_to(ROOT).as_posix(), path.read_text())
    for folder in ("letsencrypt", "proxy_agent")
    for path in sorted((ROOT / folder).glob("**/*.py"))
)


def breaches(broken_by: Callable[[Module], object]) -> dict[str, object]:
    """What breaks a rule in each module that does; a test of each module alone costs more than all rules do."""
    found = {module.name: broken_by(module) for module in MODULES}
    return {name: broken for name, broken in found.items() if broken}


def test_there_are_modules() -> None:
    """None would keep every rule below."""
    assert {"letsencrypt/__main__.py", "proxy_agent/__main__.py"} <= {module.name for module in MODULES}


def test_each_outside_library_has_one_door() -> None:
    """Whoever replaces one of these libraries opens one file."""

    def wrong_doors(module: Module) -> set[str]:
        return {
            library for library in module.packages if module.name not in ONE_MODULE_EACH.get(library, {module.name})
        }

    assert breaches(wrong_doors) == {}


def test_shared_and_pure_folders_know_only_their_own_kind() -> None:
    """The arrows point inward: nothing pure imports an edge, a clock or the network."""

    def strangers(module: Module) -> set[str]:
        allowed = next((ALLOWED[folder] for folder in ALLOWED if module.name.startswith(f"{folder}/")), None)
        if allowed is None:
            return set()
        foreign = {name for name in module.imports if name.partition(".")[0] not in STANDARD_LIBRARY}
        known = {name for name in foreign if any(name == a or name.startswith(f"{a}.") for a in allowed)}
        impure = set() if module.name.startswith("proxy_agent/daemon/") else module.packages & IMPURE
        return foreign - known - {"proxy_agent"} | impure

    assert breaches(strangers) == {}


def test_letsencrypt_takes_only_what_is_shared() -> None:
    """Of the agent, its image holds ``tls`` and ``daemon`` and nothing else; and the agent takes nothing back."""

    def taken(module: Module) -> set[str]:
        if not module.name.startswith("letsencrypt/"):
            return module.packages & {"letsencrypt"}
        ours = {name for name in module.imports if name.startswith("proxy_agent.")}
        return {name for name in ours if not name.startswith(("proxy_agent.tls", "proxy_agent.daemon"))}

    assert breaches(taken) == {}


def test_the_environment_is_read_in_one_place() -> None:
    """Only the entry points look at it, to hand it to the settings; a child of ours may pass its own on."""
    readers = breaches(lambda module: "os.environ" in module.text)
    assert {Path(name).name for name in readers} <= {"__main__.py", "forks.py", "hooks.py"}


def test_modules_stay_short() -> None:
    """A module is read in one sitting."""
    assert breaches(lambda module: max(len(module.text.splitlines()) - LONGEST_MODULE, 0)) == {}


def test_functions_stay_short_and_flat() -> None:
    """A function fits a screen and a mind."""

    def too_much(module: Module) -> list[str]:
        functions = [node for node in module.nodes if isinstance(node, ast.FunctionDef)]
        long = [one.name for one in functions if (one.end_lineno or 0) - one.lineno >= LONGEST_FUNCTION]
        return long + [one.name for one in functions if depth(one.body) > DEEPEST_NESTING]

    assert breaches(too_much) == {}


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
