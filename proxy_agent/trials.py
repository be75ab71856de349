"""The edge to raw settings: reads the files they come from, and has ``haproxy -c`` try every line."""

import hashlib
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from proxy_agent.daemon.errors import OperationalError, Skipped
from proxy_agent.routing.extra import RESERVED, Extra, Kind, Section, Text, sift
from proxy_agent.routing.model import Service
from proxy_agent.routing.ports import parse_port
from proxy_agent.routing.rawtext import split_file, split_list
from proxy_agent.runtime import Verdict
from proxy_agent.settings_extra import ExtraSettings

_LONGEST_FILE = 65536
_LONGEST_REASON = 200
_LOOKS_BETWEEN_NAMES = 10
"""After which a line is tried again that names a host which nobody knew."""


class Trials:
    """Remembers each verdict for as long as the text stands in some setting: nothing new costs nothing."""

    def __init__(self, settings: ExtraSettings, folder: Path, check: Callable[[Path], Verdict]) -> None:
        self._settings = settings
        self._folder = folder
        self._check = check
        self._secret = secrets.token_hex(8)
        self._before: dict[bytes, str] = {}
        self._verdicts: dict[bytes, str] = {}
        self._looks = 0
        self._seen: tuple[Mapping[Section, Text], tuple[Service, ...]] | None = None
        self._found = Extra()

    def extra(self, services: tuple[Service, ...]) -> Extra:
        """The raw lines that HAProxy takes; raises OperationalError if it cannot be asked."""
        own, doubts = _own(self._settings)
        self._looks += 1
        ask_again = self._looks % _LOOKS_BETWEEN_NAMES == 0
        if (own, services) == self._seen and not ask_again:
            return replace(self._found, skipped=(*doubts, *self._found.skipped))
        kept = {key: reason for key, reason in self._verdicts.items() if not (ask_again and "resolve" in reason)}
        self._before, self._verdicts = kept, {}
        self._found = sift(own, services, self._settings.extra_settings_policy, self._refusal, self._secret)
        self._seen = own, services
        return replace(self._found, skipped=(*doubts, *self._found.skipped))

    def _refusal(self, text: str) -> str:
        key = hashlib.sha256(text.encode()).digest()
        if key not in self._verdicts:
            self._verdicts[key] = self._before[key] if key in self._before else self._tried(text)
        return self._verdicts[key]

    def _tried(self, text: str) -> str:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, prefix="trial-", suffix=".cfg") as file:
                file.write(text)
                file.flush()
                verdict = self._check(Path(file.name))
        except OSError as error:
            raise OperationalError(f"Cannot write below {self._folder}: {error.strerror}.") from error
        told = verdict.reasons.replace(f"trial-{self._secret}", "it")
        return "" if verdict.accepted else _reason(re.sub(rf"(?: at)? \[?{re.escape(file.name)}:\d+\]?:?", "", told))


def _reason(output: str) -> str:
    """HAProxy's first complaint, without the place in a file that nobody sees."""
    alert = next((line for line in output.splitlines() if "[ALERT]" in line), "")
    reason = re.sub(r"^(?:config *:|parsing\b|[: ])+", "", alert.partition(") :")[2])
    return reason.rstrip(" .")[:_LONGEST_REASON] or "nothing more"


def _own(settings: ExtraSettings) -> tuple[Mapping[Section, Text], list[Skipped]]:
    """The lines of the proxy's own settings, inline ones before those of files."""
    texts: dict[Section, Text] = {}
    doubts: list[Skipped] = []
    for section, variable, read in _sources(settings):
        try:
            _check_name(section)
            lines = read()
        except ValueError as error:
            doubts.append(Skipped(variable, str(error)))
            continue
        before = texts.get(section, Text(variable, ()))
        texts[section] = Text(before.variable, (*before.lines, *lines))
    return texts, doubts


def _sources(settings: ExtraSettings) -> Iterator[tuple[Section, str, Callable[[], tuple[str, ...]]]]:
    sections: tuple[tuple[Kind, str, Mapping[str, str], Mapping[str, str]], ...] = (
        ("global", "EXTRA_GLOBAL_SETTINGS", *_one(settings.extra_global_settings, settings.extra_global_settings_file)),
        (
            "defaults",
            "EXTRA_DEFAULT_SETTINGS",
            *_one(settings.extra_default_settings, settings.extra_default_settings_file),
        ),
        (
            "frontend",
            "EXTRA_FRONTEND_SETTINGS",
            settings.extra_frontend_settings,
            settings.extra_frontend_settings_file,
        ),
        ("backend", "ADDITIONAL_BACKEND", settings.additional_backend, settings.additional_backend_file),
    )
    for kind, variable, texts, files in sections:
        for name, text in texts.items():
            yield Section(kind, name), f"{variable}_{name}".rstrip("_"), partial(split_list, text)
        for name, path in files.items():
            yield Section(kind, name), f"{variable}_FILE_{name}".rstrip("_"), partial(_lines_of, Path(path))
    for item in split_list(settings.extra_bind_settings):
        port, _, words = item.partition(":")
        yield Section("bind", port.strip()), "EXTRA_BIND_SETTINGS", partial(_words, words)


def _words(text: str) -> tuple[str, ...]:
    if not text.strip():
        raise ValueError("write port:words, such as 443:strict-sni")
    return (text,)


def _one(text: str, file: Path | None) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return ({"": text} if text else {}), ({"": str(file)} if file else {})


def _check_name(section: Section) -> None:
    if section.kind in ("frontend", "bind"):
        if section.name != str(parse_port(section.name)):
            raise ValueError(f"{section.name[:40]!r} is not a port: it begins with 0")
    elif section.kind == "backend" and (
        section.name in RESERVED or not re.fullmatch(r"[A-Za-z0-9_]{1,40}", section.name)
    ):
        raise ValueError(
            f"no backend can be called {section.name[:40]!r}: write up to 40 letters, digits and underscores, "
            f"and none of {', '.join(RESERVED)}"
        )


def _lines_of(path: Path) -> tuple[str, ...]:
    """The lines of a file; raises ValueError."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
        text = content.decode()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8") from None
    if len(content) > _LONGEST_FILE:
        raise ValueError(f"{path} is larger than {_LONGEST_FILE} bytes")
    return split_file(text)
