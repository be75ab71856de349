"""All raw lines that reach the configuration: read, translated, judged, and each of them tried by HAProxy itself."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.directives import judge, judge_global, without_dns
from proxy_agent.routing.legacy import translate, without_old_versions
from proxy_agent.routing.metadata import asks_for_routes, setting
from proxy_agent.routing.model import Service
from proxy_agent.routing.rawtext import Words, parse_line, quote, split_list, write_line

EXTRA_SETTINGS = "EXTRA_SETTINGS"
_MOST_LINES = 100
"""Of one text: a refused one costs a check of HAProxy's for each."""
_LONGEST_TEXT = 8192

Policy = Literal["strict", "open", "off"]
Kind = Literal["global", "defaults", "backend", "frontend", "bind"]
"""Where lines stand, in the order in which they are tried: each sees what was taken before it."""
_KINDS: tuple[Kind, ...] = ("global", "defaults", "backend", "frontend", "bind")

RESERVED = ("add_slash", "letsencrypt", "no_route", "not_found")
"""Backends of ours, which lines may refer to; all others have a hyphen in their name."""
_TIMEOUTS = tuple(f"timeout {side} 5s" for side in ("client", "connect", "server"))

_HTTP_ONLY = (
    *("http-request ", "http-response ", "http-after-response ", "http-reuse ", "http-send-name-header "),
    *(
        "http-error ",
        "cookie ",
        "compression ",
        "mode ",
        "redirect ",
        "errorloc",
        "option http",
        "no option http",
        "acl ",
    ),
)
"""How lines begin that HAProxy only warns of where there are no requests."""

Refusal = Callable[[str], str]
"""Why HAProxy refuses a configuration; empty if it takes it."""


@dataclass(frozen=True, order=True)
class Section:
    """Where lines of the proxy's own settings stand."""

    kind: Kind
    name: str = ""
    """Of a backend; the port of a frontend or a bind line."""


@dataclass(frozen=True)
class Text:
    """Lines for one section, as they were written."""

    variable: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Extra:
    """The lines that HAProxy gets, and what became of the others."""

    sections: Mapping[Section, tuple[str, ...]] = field(default_factory=dict)
    of_containers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the text of EXTRA_SETTINGS that they come from."""
    skipped: tuple[Skipped, ...] = ()

    def lines(self, kind: Kind, name: object = "") -> tuple[str, ...]:
        """The lines of one section."""
        return self.sections.get(Section(kind, str(name)), ())

    def choices(self, port: int) -> tuple[str, ...]:
        """Those lines of a frontend that choose a backend: HAProxy holds requests against them last."""
        return tuple(line for line in self.lines("frontend", port) if line.startswith("use_backend "))

    def rules(self, port: int) -> tuple[str, ...]:
        """The other lines of a frontend."""
        return tuple(line for line in self.lines("frontend", port) if line not in self.choices(port))

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The sections of one kind, sorted."""
        return tuple(sorted(section.name for section in self.sections if section.kind == kind))

    def of(self, text: str, tcp: bool) -> tuple[str, ...]:
        """The lines that an EXTRA_SETTINGS gives a backend; one that passes on bytes has no use for some."""
        lines = self.of_containers.get(text, ())
        return tuple(line for line in lines if not (tcp and line.startswith(_HTTP_ONLY)))

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports whose frontends have lines, sorted."""
        return tuple(sorted(map(int, self.names("frontend"))))

    @property
    def has_lines(self) -> bool:
        """Whether anything of it stands in the configuration."""
        return bool(self.sections) or any(self.of_containers.values())

    def same_lines(self, other: "Extra") -> bool:
        """Whether both bring the same into the configuration."""
        return (self.sections, self.of_containers) == (other.sections, other.of_containers)

    def left_out(self, reason: str, lines: Set[tuple[str, ...]]) -> "Extra":
        """Without *lines* of containers, or without any line where that is empty; HAProxy refuses them for *reason*."""
        doubt = f"left out for now, HAProxy refuses the configuration that holds them: {reason}"
        if not lines:
            return Extra(skipped=(*self.skipped, Skipped("raw settings", doubt)))
        kept = {text: found for text, found in self.of_containers.items() if found not in lines}
        told = (Skipped(EXTRA_SETTINGS, f"{quote(', '.join(found))} {doubt}") for found in sorted(lines))
        return replace(self, of_containers=kept, skipped=(*self.skipped, *told))


NO_EXTRA = Extra()


@dataclass(frozen=True)
class _Line:
    written: str
    becomes: tuple[str, ...]


def sift(
    own: Mapping[Section, Text], services: Iterable[Service], policy: Policy, refusal: Refusal, secret: str
) -> Extra:
    """What remains of the proxy's *own* lines and of EXTRA_SETTINGS once every line was tried.

    *secret* names the sections in which lines of containers are tried, so that none can refer to them.
    """
    told: list[Skipped] = []
    sections: dict[Section, tuple[str, ...]] = {}
    for section, text in sorted(own.items(), key=lambda item: (_KINDS.index(item[0].kind), item[0])):
        lines, doubts = _read(text.lines, strict=False, kind=section.kind)
        taken, refused = _tried(lines, _Trial(dict(sections), section, secret), refusal)
        told += [Skipped(text.variable, doubt) for doubt in (*doubts, *refused)]
        if taken or section.kind == "backend":
            sections[section] = taken
    context = {section: sections[section] for section in sections if section.kind in ("global", "defaults")}
    of_containers: dict[str, tuple[str, ...]] = {}
    for value, names in sorted(_texts(services).items()):
        of_containers[value], doubts = _of_a_container(value, policy, _Trial(context, None, secret), refusal)
        told += [Skipped(name, f"{EXTRA_SETTINGS}: {doubt}") for name in names for doubt in doubts]
    return Extra(sections, of_containers, tuple(dict.fromkeys(told)))


def _texts(services: Iterable[Service]) -> dict[str, list[str]]:
    """Each EXTRA_SETTINGS, with the services that have it."""
    texts: dict[str, list[str]] = {}
    for service in services:
        for container in service.containers:
            value = setting(container, EXTRA_SETTINGS)
            if value and asks_for_routes(container) and service.name not in texts.setdefault(value, []):
                texts[value].append(service.name)
    return texts


def _of_a_container(value: str, policy: Policy, trial: "_Trial", refusal: Refusal) -> tuple[tuple[str, ...], list[str]]:
    if policy == "off":
        return (), ["not used, as EXTRA_SETTINGS_POLICY is off"]
    if len(value) > _LONGEST_TEXT:
        return (), [f"not used, it is longer than {_LONGEST_TEXT} characters"]
    lines, doubts = _read(split_list(value), strict=policy == "strict")
    taken, refused = _tried(lines, trial, refusal)
    return taken, [*doubts, *refused]


def _read(texts: Sequence[str], strict: bool, kind: Kind | None = None) -> tuple[list[_Line], list[str]]:
    """The lines that may be tried; a reason for each other one, and a word on each that was translated."""
    lines: list[_Line] = []
    doubts: list[str] = []
    for text in texts[:_MOST_LINES]:
        try:
            written, becomes = _lines(text, strict, kind)
        except ValueError as error:
            doubts.append(f"{quote(text)} is not used: {error}")
            continue
        if becomes != written:
            new = " and ".join(map(quote, becomes)) or "nothing"
            doubts.append(f"{quote(text)} was for older versions of HAProxy, it becomes {new}")
        lines += [_Line(text, becomes)] if becomes else []
    if len(texts) > _MOST_LINES:
        doubts.append(f"only the first {_MOST_LINES} lines are used")
    return lines, doubts


def _lines(text: str, strict: bool, kind: Kind | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words = parse_line(text)
    if not words:
        return (), ()
    if kind == "bind":
        becomes = without_old_versions(_without_process(words))
        return (write_line(words),), (write_line(becomes),) if becomes else ()
    if kind == "global":
        judge_global(words)
    judge(words[:1], strict=False)
    lines = translate(words)
    for line in lines:
        judge(line, strict)
    guard = without_dns if strict else tuple
    return (write_line(guard(words)),), tuple(write_line(guard(line)) for line in lines)


def _without_process(words: Words) -> Words:
    """A listener was once bound to processes; now all threads serve all."""
    at = words.index("process") if "process" in words else len(words)
    return (*words[:at], *words[at + 2 :])


@dataclass(frozen=True)
class _Trial:
    """A small configuration in which lines are tried; *section* is None for those of a container."""

    context: Mapping[Section, tuple[str, ...]]
    section: Section | None
    secret: str

    def text(self, lines: Iterable[_Line]) -> str:
        """The configuration with *lines* in it."""
        name = f"trial-{self.secret}"
        section = self.section or Section("backend", name)
        found = {**self.context, section: tuple(line for item in lines for line in item.becomes)}

        def of(kind: Kind) -> list[str]:
            mine = (item for item in found if item.kind == kind and item.name in ("", section.name))
            return [line for item in mine for line in found[item]]

        others = RESERVED if self.section else ()
        backends = {**dict.fromkeys((*others, name), ()), **{s.name: found[s] for s in found if s.kind == "backend"}}
        server = [] if self.section else ["server trial 127.0.0.1:1 check"]
        parts = [
            *("global", *of("global")),
            *("defaults", "mode http", *_TIMEOUTS, *of("defaults")),
            *(line for backend, own in backends.items() for line in (f"backend {backend}", *own)),
            *server,
            *(f"frontend {name}", " ".join(["bind 127.0.0.1:1", *of("bind")]), *of("frontend")),
            f"default_backend {name}",
        ]
        return "".join(f"{part}\n" for part in parts)


def _tried(lines: Sequence[_Line], trial: _Trial, refusal: Refusal) -> tuple[tuple[str, ...], list[str]]:
    """The lines that HAProxy takes, each with those before it, and its reason for each other one."""
    taken = list(lines)
    refused: list[str] = []
    if lines and refusal(trial.text(lines)):
        taken = []
        for line in lines:
            if reason := refusal(trial.text([*taken, line])):
                refused.append(f"{quote(line.written)} is not used: HAProxy says {reason}")
            else:
                taken.append(line)
    return tuple(written for line in taken for written in line.becomes), refused
