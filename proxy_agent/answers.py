"""The form of Docker's answers, as far as it is relied upon: what comes over a socket may be anything."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Annotated, Any, Required, TypedDict, TypeVar

from pydantic import AfterValidator, TypeAdapter, ValidationError

_T = TypeVar("_T")


class MalformedAnswer(Exception):
    """Something answered, but not as Docker does."""


def _address(text: str) -> str:
    if text:
        ip_address(text)
    return text


_Address = Annotated[str, AfterValidator(_address)] | None


class _Network(TypedDict, total=False):
    NetworkID: str | None
    IPAddress: _Address
    GlobalIPv6Address: _Address
    Gateway: _Address


class _Networks(TypedDict, total=False):
    Networks: dict[str, _Network] | None


class _Host(TypedDict, total=False):
    NetworkMode: str | None


class _Health(TypedDict, total=False):
    Status: str | None


class _Entry(TypedDict, total=False):
    Id: Required[str]
    Names: list[str] | None
    Labels: dict[str, str] | None
    State: str | None
    Status: str | None
    Created: int | None
    HostConfig: _Host | None
    NetworkSettings: _Networks | None
    Health: _Health | None


class _Config(TypedDict, total=False):
    Env: list[str] | None
    Labels: dict[str, str] | None
    ExposedPorts: dict[str, Any] | None
    StopSignal: str | None
    StopTimeout: int | None


class _Inspected(TypedDict):
    Config: _Config


class _InspectedNetwork(TypedDict, total=False):
    Internal: bool | None


class _Actor(TypedDict, total=False):
    ID: str | None
    Attributes: dict[str, Any] | None


class _Event(TypedDict, total=False):
    Type: str | None
    Action: str | None
    Actor: _Actor | None
    time: int | None


_LISTING = TypeAdapter(list[_Entry])
_INSPECTED = TypeAdapter(_Inspected)
_NETWORK = TypeAdapter(_InspectedNetwork)
_EVENT = TypeAdapter(_Event)


def listing(answer: object) -> Sequence[Mapping[str, Any]]:
    """The containers that *answer* lists, reduced to what is used of them; raises MalformedAnswer."""
    return _checked(_LISTING, answer)


def inspected(answer: object) -> Mapping[str, Any]:
    """What *answer* tells of a container, likewise."""
    return _checked(_INSPECTED, answer)


def network(answer: object) -> Mapping[str, Any]:
    """What *answer* tells of a network, likewise."""
    return _checked(_NETWORK, answer)


def event(answer: object) -> Mapping[str, Any]:
    """The event that *answer* is, likewise."""
    return _checked(_EVENT, answer)


def _checked(form: TypeAdapter[_T], answer: object) -> _T:
    try:
        return form.validate_python(answer)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))[:100]
        raise MalformedAnswer(f"what answers is not Docker, or not in its form ({place or 'at all'})") from None
