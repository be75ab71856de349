"""Settings of the HAProxy container that hold for every service which says nothing else of itself."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import Field, PlainValidator

from proxy_agent.daemon import settings as environment
from proxy_agent.routing.access import Credential, parse_credentials
from proxy_agent.routing.balance import parse_balance
from proxy_agent.routing.policies import parse_hsts
from proxy_agent.routing.policy import Policy
from proxy_agent.routing.server_settings import DEFAULT_SERVER, ServerSettings, parse_health_check
from proxy_agent.routing.server_words import read_server_words
from proxy_agent.routing.values import parse_size

_T = TypeVar("_T")


def _all_of(parse: Callable[[str], tuple[tuple[_T, ...], tuple[str, ...]]], text: object) -> tuple[_T, ...]:
    """What *parse* reads, where nothing had to be left out: the operator is told at the start."""
    items, reasons = parse(str(text))
    if reasons:
        raise ValueError("; ".join(reasons))
    return items


def _plain(text: object) -> tuple[Credential, ...]:
    return _all_of(lambda written: parse_credentials(written, hashed=False), text)


def _hashed(text: object) -> tuple[Credential, ...]:
    return _all_of(lambda written: parse_credentials(written, hashed=True), text)


class ServiceSettings(environment.Settings):
    """One field for each variable that containers may set too; theirs come first."""

    balance: Annotated[str, PlainValidator(lambda text: parse_balance(str(text)))] = Field(
        alias="BALANCE",
        default="",
        description="How requests are shared between the containers of a service.",
        json_schema_extra={"accepts": "an algorithm such as leastconn or source", "default_text": "roundrobin"},
    )
    health_check: Annotated[tuple[str, ...], PlainValidator(lambda text: _all_of(parse_health_check, text))] = Field(
        alias="HEALTH_CHECK",
        default=DEFAULT_SERVER.check,
        description="How HAProxy finds out whether a container answers; `off` takes it for granted.",
        json_schema_extra={"accepts": "words of HAProxy's server line", "default_text": "check inter 2s rise 2 fall 3"},
    )
    extra_route_settings: Annotated[tuple[str, ...], PlainValidator(lambda text: _all_of(read_server_words, text))] = (
        Field(
            alias="EXTRA_ROUTE_SETTINGS",
            default=(),
            description="Further words for every server line.",
            json_schema_extra={"accepts": "words such as maxconn 100 slowstart 10s", "default_text": ""},
        )
    )
    hsts: Annotated[str, PlainValidator(lambda text: parse_hsts(str(text)))] = Field(
        alias="HSTS",
        default="max-age=31536000",
        description=(
            "What tells browsers to come by HTTPS alone, for hosts that are redirected to it and whose certificate is "
            "no rehearsal; `off` for nothing. What an application says itself counts more."
        ),
        json_schema_extra={"accepts": "max-age=SECONDS; includeSubDomains; preload, or off"},
    )
    max_body_size: Annotated[int, PlainValidator(lambda text: parse_size(str(text)))] = Field(
        alias="MAX_BODY_SIZE",
        default=0,
        description="The longest body of a request, by what it declares.",
        json_schema_extra={"accepts": "bytes, or a number with k, m or g; 0 for any", "default_text": "0"},
    )
    basic_auth: Annotated[tuple[Credential, ...], PlainValidator(_plain)] = Field(
        alias="HTTP_BASIC_AUTH",
        default=(),
        description="Users who may sign in to any service; set, it protects all but those with `EXCLUDE_BASIC_AUTH`.",
        json_schema_extra={"accepts": "user:password, separated by commas", "default_text": "", "secret": True},
    )
    basic_auth_secure: Annotated[tuple[Credential, ...], PlainValidator(_hashed)] = Field(
        alias="HTTP_BASIC_AUTH_SECURE",
        default=(),
        description="The same with hashes, as `openssl passwd -6` makes them.",
        json_schema_extra={"accepts": "user:hash, separated by commas", "default_text": "", "secret": True},
    )

    @property
    def policy(self) -> Policy:
        """What a backend does unless its containers say otherwise."""
        users = {credential.user: credential for credential in (*self.basic_auth_secure, *self.basic_auth)}
        return Policy(
            balance=self.balance,
            max_body_size=self.max_body_size,
            protected=bool(users),
            credentials=tuple(sorted(users.values())),
        )

    @property
    def server(self) -> ServerSettings:
        """How a container is treated unless it says otherwise."""
        return ServerSettings(check=self.health_check, extra=self.extra_route_settings)
