"""The flat list of rules as HAProxy looks it up: maps for names and paths, a few ordered stages to ask them in.

A request is held against one stage after the other. A stage finds a *site*, which is a host pattern of one weight,
under a key in the map of the listener, whose value is

``RULE``  where the site answers every path alike;
``@``     where paths decide. Then they are looked up under the site's key and

  ``=/Path``  ``~/path``    the whole path, as written or in lower case (in the listener's map)
  ``^/Path``                beginnings that come before expressions (in the map of beginnings)
  a line for each expression, and for beginnings that compete with globs
  ``=/Path``  ``~/path``    beginnings, the longest wins (in the map of beginnings)
  ``=*``                    any other path (in the listener's map)

A site that has nothing for a path leaves the request to the stages after it. RULE is the name of a backend, on the
plain listener with ``:REDIRECT:CODE`` behind it where the answer may be a redirect, and ``:PORT`` where that leads
to another port than the usual one; on the other with ``:hsts`` where
browsers may be told to come by https alone. A key begins with the port where
it is not the usual one, with the weight where it is not 0, and with ``ws|`` for requests that upgrade to websockets.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from proxy_agent.routing.hosts import HostKind, HostPattern
from proxy_agent.routing.model import Listener, Rule
from proxy_agent.routing.paths import PathKind, PathPattern

PATHS_DECIDE = "@"
NOT_FOUND = "not_found"
ADD_SLASH = "add_slash"

_WITHOUT_HOST = "/"
"""Which no Host header is looked up as."""


@dataclass(frozen=True)
class Line:
    """A path that no map can look up."""

    site: str
    expression: str
    ignore_case: bool
    searched: bool
    """Whether it is a regular expression, which may take long on a long path."""
    rule: str


@dataclass(frozen=True)
class Stage:
    """One look-up of the host."""

    kind: HostKind
    prefix: str
    """What the keys of its sites begin with."""
    labels: int = 0
    """For ``*.name``: how many labels of the host's end are looked up."""
    expression: str = ""
    """For globs and expressions: when its one site is asked."""
    key: str = ""
    """The key of its one site; empty where the host is the key."""
    upgrade: bool = False
    with_host: bool = True
    paths: bool = False
    """Whether paths decide in any of its sites."""
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Frontend:
    """One port to listen on."""

    listener: Listener
    port: int | None
    stages: tuple[Stage, ...]


@dataclass
class Lookup:
    """What becomes maps and what becomes configuration; by listener."""

    names: dict[Listener, dict[str, str]] = field(default_factory=lambda: {"plain": {}, "tls": {}})
    paths: dict[Listener, dict[str, str]] = field(default_factory=lambda: {"plain": {}, "tls": {}})
    frontends: list[Frontend] = field(default_factory=list)


def compile_lookup(rules: Iterable[Rule]) -> Lookup:
    """The look-up of *rules*; equal rules, in whatever order, give an equal one."""
    by_port: dict[tuple[int, Listener], list[Rule]] = {(0, "plain"): [], (0, "tls"): []}
    for rule in rules:
        by_port.setdefault((rule.place.port or 0, rule.place.listener), []).append(rule)
    lookup = Lookup()
    for (port, listener), group in sorted(by_port.items()):
        stages = tuple(_stages(lookup, listener, port, group))
        lookup.frontends.append(Frontend(listener, port or None, stages))
    lookup.names = {listener: dict(sorted(entries.items())) for listener, entries in lookup.names.items()}
    lookup.paths = {listener: dict(sorted(entries.items())) for listener, entries in lookup.paths.items()}
    return lookup


@dataclass(frozen=True)
class _Site:
    weight: int
    host: HostPattern
    upgrade: bool
    rules: tuple[Rule, ...]

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts into the order of stages; sites of one stage have the same."""
        kind = self.host.kind
        among: tuple[object, ...] = ()
        if kind is HostKind.BELOW:
            among = (-self.host.labels,)
        elif kind is not HostKind.EXACT:
            among = self.host.rank
        return -self.weight, kind, among, not self.upgrade

    def prefix(self, port: int) -> str:
        """What its key begins with; no Host header that is looked up holds a bar."""
        parts = (f":{port}" if port else "", str(self.weight) if self.weight else "", "ws" if self.upgrade else "")
        return "".join(f"{part}|" for part in parts if part)


def _stages(lookup: Lookup, listener: Listener, port: int, rules: Iterable[Rule]) -> Iterator[Stage]:
    by_rank: dict[tuple[object, ...], list[_Site]] = defaultdict(list)
    for site in _sites(rules):
        by_rank[site.rank].append(site)
    for _, sites in sorted(by_rank.items()):
        paths, lines = False, list[Line]()
        for site in sorted(sites, key=lambda site: site.host.rank):
            key = f"{site.prefix(port)}{_key(site.host)}"
            found = tuple(_enter(lookup.names[listener], lookup.paths[listener], key, site.rules))
            paths = paths or lookup.names[listener][key] == PATHS_DECIDE
            lines += found
        yield _stage(sites[0], port, paths, tuple(lines))


def _stage(site: _Site, port: int, paths: bool, lines: tuple[Line, ...]) -> Stage:
    host = site.host
    one = host.expression_needed or host.kind is HostKind.ANY
    return Stage(
        kind=host.kind,
        prefix=site.prefix(port),
        labels=host.labels if host.kind is HostKind.BELOW else 0,
        expression=host.expression if host.expression_needed else "",
        key=f"{site.prefix(port)}{_key(host)}" if one else "",
        upgrade=site.upgrade,
        with_host=host.text != "",
        paths=paths,
        lines=lines,
    )


def _sites(rules: Iterable[Rule]) -> Iterator[_Site]:
    """The rules by site, in order; those for websockets in a site of their own, with all others of their host."""
    by_host: dict[tuple[int, HostPattern], list[Rule]] = defaultdict(list)
    for rule in rules:
        by_host[rule.weight, rule.place.host].append(rule)
        if not rule.place.host.text:
            # A request with a Host header is for those without a host too: there they stand among those for any.
            by_host[rule.weight, HostPattern(HostKind.ANY, "*")].append(rule)
    for (weight, host), group in by_host.items():
        if plain := [rule for rule in group if not rule.place.upgrade]:
            yield _Site(weight, host, False, _in_order(plain))
        if len(plain) < len(group):
            yield _Site(weight, host, True, _in_order(group))


def _in_order(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """As they are matched, the first alone where several have one path."""
    first: dict[PathPattern, Rule] = {}
    for rule in sorted(rules, key=lambda rule: (not rule.place.upgrade, rule.place.host.text)):
        first.setdefault(rule.place.path, rule)
    return tuple(sorted(first.values(), key=lambda rule: rule.place.path.rank))


def _key(host: HostPattern) -> str:
    if host.expression_needed:
        return f"~{hashlib.sha256(host.text.encode()).hexdigest()[:16]}"
    return host.text or _WITHOUT_HOST


def _enter(names: dict[str, str], paths: dict[str, str], key: str, rules: tuple[Rule, ...]) -> Iterator[Line]:
    """Put a site into the maps; what no map can look up is returned, in order."""
    patterns = [rule.place.path for rule in rules]
    if [path.kind for path in patterns] == [PathKind.ALL]:
        names[key] = _value(rules[0])
        return
    names[key] = PATHS_DECIDE
    competing = {(path.kind, path.ignore_case) for path in patterns if path.kind in (PathKind.PREFIX, PathKind.GLOB)}
    spelled_out = len(competing) > 1 or any(kind is PathKind.GLOB for kind, _ in competing)
    for rule in rules:
        path, value = rule.place.path, _value(rule)
        mark = "~" if path.ignore_case else "="
        match path.kind:
            case PathKind.EXACT:
                names[f"{key}{mark}{path.text}"] = value
            case PathKind.FIRST:
                paths[f"{key}^{path.text}"] = value
            case PathKind.PREFIX if not spelled_out:
                paths[f"{key}{mark}{path.text}"] = value
            case PathKind.ALL:
                names[f"{key}=*"] = value
            case _:
                yield Line(key, path.expression, path.ignore_case, path.kind is PathKind.EXPRESSION, value)
        if _lacks_slash(path, patterns):
            names[f"{key}={path.text[:-1]}"] = _value(rule, ADD_SLASH)
    if any(rule.implicit for rule in rules) and PathKind.ALL not in {path.kind for path in patterns}:
        names[f"{key}=*"] = NOT_FOUND


def _lacks_slash(path: PathPattern, others: Iterable[PathPattern]) -> bool:
    """Whether *path* is ``/app/`` of VIRTUAL_PATH, and nothing else there answers for ``/app``, as in nginx."""
    if path.kind is not PathKind.PREFIX or path.ignore_case or not path.text.endswith("/"):
        return False
    wanted = path.text[:-1]

    def answers(other: PathPattern) -> bool:
        asked = wanted.lower() if other.ignore_case else wanted
        if other.kind is PathKind.EXACT:
            return asked == other.text
        return other.kind in (PathKind.ALL, PathKind.EXPRESSION, PathKind.GLOB) or asked.startswith(other.text)

    return bool(wanted) and not any(map(answers, others))


def _value(rule: Rule, backend: str = "") -> str:
    name = backend or rule.backend
    if rule.pinned:
        return f"{name}:hsts"
    if rule.redirect == "never":
        return name
    return f"{name}:{rule.redirect}:{rule.code}{f':{rule.tls_port}' if rule.tls_port else ''}"
