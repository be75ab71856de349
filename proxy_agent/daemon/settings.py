"""The environment, read once into a frozen model; everything that is wrong with it is said together."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from proxy_agent.daemon.errors import OperationalError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: object) -> timedelta:
    """Read a length of time with its unit; raises ValueError quoting *text* and the accepted form.

    >>> parse_duration("90s")
    datetime.timedelta(seconds=90)
    """
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"(\d{1,6})\s*([smhd])", str(text).strip().lower())
    if not match:
        raise ValueError("a length of time is a number with a unit: 90s, 15m, 12h or 1d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""A field type for lengths of time, written with their unit."""


class Settings(BaseModel):
    """What a container is told by its environment; each field's alias is the variable, its description the manual.

    An empty variable counts as unset, because compose.yaml passes ``${NAME:-}`` through.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=False)


class SettingsError(OperationalError):
    """At least one variable cannot be used; the message has a line for each."""


SettingsT = TypeVar("SettingsT", bound=Settings)
_LONGEST_QUOTE, _LONGEST_REASON = 500, 2000


def load(model: type[SettingsT], environ: Mapping[str, str]) -> SettingsT:
    """Read *model* from *environ*; raises SettingsError naming each bad variable, its value and what it accepts."""
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    try:
        return model.model_validate({**given, **_families(model, given)})
    except ValidationError as error:
        lines = [_sentence(model, problem["loc"], problem["msg"], given) for problem in error.errors()]
        raise SettingsError("\n".join(lines)) from None


def _families(model: type[Settings], given: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """What is given for each variable whose name ends in a ``<PART>`` of the user's own, by that part."""
    families = {variable.partition("<")[0]: variable for variable, _ in fields(model) if is_family(variable)}
    found: dict[str, dict[str, str]] = {}
    for name, value in sorted(given.items()):
        prefixes = [prefix for prefix in families if name.startswith(prefix) and name != prefix]
        if prefixes:
            longest = max(prefixes, key=len)
            found.setdefault(families[longest], {})[name.removeprefix(longest)] = value
    return found


def is_family(variable: str) -> bool:
    """Whether *variable* stands for several, as ``NAME_<PORT>`` does: compose.yaml cannot pass these through."""
    return variable.endswith(">")


def _sentence(model: type[Settings], location: tuple[int | str, ...], message: str, given: Mapping[str, str]) -> str:
    variable = str(location[0]) if location else "settings"
    # A default that is checked is told by the name of its field.
    variable = next((alias for alias, field in fields(model) if field is model.model_fields.get(variable)), variable)
    accepted = next((accepts(field) for name, field in fields(model) if name == variable), "")
    reason = message.removeprefix("Value error, ")[:_LONGEST_REASON]
    hint = f" (accepted: {accepted})" if accepted and accepted not in reason else ""
    secret = next((is_secret(field) for name, field in fields(model) if name == variable), False)
    said = variable if secret else f"{variable}={given.get(variable, '')[:_LONGEST_QUOTE]!r}"
    return f"{said} cannot be used: {reason}{hint}."


def fields(model: type[Settings]) -> Iterator[tuple[str, FieldInfo]]:
    """The variables of *model* with their declaration, in the order of the manual: its own, then inherited ones."""
    for name, declaration in sorted(model.model_fields.items(), key=lambda field: _generations(model, field[0])):
        yield declaration.alias or name, declaration


def _generations(model: type[Settings], name: str) -> int:
    """How far above *model* the field *name* is declared."""
    parents = [p for p in model.__bases__ if issubclass(p, Settings) and name in p.model_fields]
    return 1 + min(_generations(parent, name) for parent in parents) if parents else 0


def accepts(declaration: FieldInfo) -> str:
    """The accepted form of a setting in words, from its declaration."""
    extra: Any = declaration.json_schema_extra
    return str(extra["accepts"]) if isinstance(extra, dict) and "accepts" in extra else ""


def is_secret(declaration: FieldInfo) -> bool:
    """Whether its value must not be shown to anybody."""
    extra: Any = declaration.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def manual(model: type[Settings]) -> str:
    """The settings as a Markdown table for the README; fields with ``exclude=True`` are the image's, not the user's."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    rows += [_row(variable, declaration) for variable, declaration in fields(model) if not declaration.exclude]
    return "\n".join(rows) + "\n"


def _row(variable: str, declaration: FieldInfo) -> str:
    extra: Any = declaration.json_schema_extra or {}
    default = extra.get("default_text", "" if declaration.default in (None, ()) else str(declaration.default))
    form = f" Accepts {accepts(declaration)}." if accepts(declaration) else ""
    return f"| `{variable}` | {f'`{default}`' if default else '–'} | {declaration.description}{form} |"
