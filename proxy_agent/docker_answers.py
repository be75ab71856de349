"""What Docker answers, as far as the agent reads it: anything else is a fault of Docker's, and not of ours."""

from ipaddress import ip_address
from typing import Annotated, Any, TypedDict, TypeVar

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError, with_config

from proxy_agent.networks import Entry

_T = TypeVar("_T")


class Nonsense(ValueError):
    """An answer that is not of the form that Docker's API describes."""


def _address(text: str) -> str:
    """An IP address, or nothing."""
    if text:
        ip_address(text)
    return text


_Address = Annotated[str, AfterValidator(_address)] | None
# Taken as it came: no number is read from a text.
_AS_IT_IS = ConfigDict(strict=True)


@with_config(_AS_IT_IS)
class _Network(TypedDict, total=False):
    NetworkID: str | None
    IPAddress: _Address
    GlobalIPv6Address: _Address
    Gateway: _Address


@with_config(_AS_IT_IS)
class _Networks(TypedDict, total=False):
    Networks: dict[str, _Network] | None


@with_config(_AS_IT_IS)
class _Host(TypedDict, total=False):
    NetworkMode: str | None


@with_config(_AS_IT_IS)
class _Health(TypedDict, total=False):
    Status: str | None


@with_config(_AS_IT_IS)
class _More(TypedDict, total=False):
    Names: list[str] | None
    Created: int | None
    State: str
    Status: str | None
    Health: _Health | None
    Labels: dict[str, str] | None
    HostConfig: _Host | None
    NetworkSettings: _Networks | None


class _Listed(_More):
    Id: str


@with_config(_AS_IT_IS)
class _Config(TypedDict, total=False):
    Env: list[str] | None
    Labels: dict[str, str] | None
    ExposedPorts: dict[str, Any] | None
    StopTimeout: float | None
    StopSignal: str | None


class _Inspected(TypedDict):
    Config: _Config


@with_config(_AS_IT_IS)
class _Actor(TypedDict, total=False):
    ID: str | None
    Attributes: dict[str, str] | None


@with_config(_AS_IT_IS)
class _Event(TypedDict, total=False):
    Type: str
    Action: str
    Actor: _Actor | None
    time: int | None


class _NetworkFound(TypedDict, total=False):
    Internal: bool | None


_LISTING = TypeAdapter(list[_Listed])
_INSPECTED = TypeAdapter(_Inspected)
_EVENT = TypeAdapter(_Event)
_NETWORK = TypeAdapter(_NetworkFound)


def listing(answer: object) -> list[Entry]:
    """The containers that an answer lists, with what is read of them; raises Nonsense."""
    return [*_checked(_LISTING, answer)]


def config(answer: object) -> Entry:
    """The configuration that inspecting a container showed; raises Nonsense."""
    return _checked(_INSPECTED, answer)["Config"]


def event(answer: object) -> Entry:
    """An event; raises Nonsense."""
    return _checked(_EVENT, answer)


def is_internal(answer: object) -> bool:
    """Whether a network is cut off; raises Nonsense."""
    return bool(_checked(_NETWORK, answer).get("Internal"))


def _checked(form: TypeAdapter[_T], answer: object) -> _T:
    try:
        return form.validate_python(answer)
    except ValidationError as error:
        fault = error.errors()[0]
    # Not within the block above: whoever looks for the innermost reason is to find this one.
    where = ".".join(map(str, fault["loc"]))
    raise Nonsense(f"its answer makes no sense{f' at {where}' if where else ''}: {fault['msg']}")
