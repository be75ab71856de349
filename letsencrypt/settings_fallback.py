"""The settings of the ACME servers that come in when the first one fails."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from letsencrypt.certonly import Directory, parse_directory
from letsencrypt.fallback_servers import FallbackServer
from proxy_agent.daemon import settings as environment

_ONE_EACH = "as many as ACME_FALLBACK_SERVER has, separated by commas, nothing where none is needed"


def parse_email(text: object) -> str:
    """One or more addresses; only their shape is checked, the CA knows better."""
    address = r"[A-Za-z0-9][^\s,@]*@[^\s,@]+"
    if not re.fullmatch(rf"{address}(?:,{address})*", str(text)):
        raise ValueError("it is not an e-mail address")
    return str(text)


def _parse_servers(text: object) -> tuple[str, ...]:
    servers = tuple(parse_directory(item.strip()).url for item in str(text).split(",") if item.strip())
    if len(set(servers)) < len(servers):
        raise ValueError("it names a server twice")
    return servers


def _parse_keys(text: object) -> tuple[str, ...]:
    """Keys or their identifiers, by their places in the list of servers."""
    keys = tuple(item.strip() for item in str(text or "").rstrip(", ").split(",")) if text else ()
    if not all(re.fullmatch(r"[A-Za-z0-9_.:~+/=-]{0,500}", key) for key in keys):
        raise ValueError("it holds a character that no such key has")
    return keys


def _check_pairs(keys: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Each key needs its identifier, each identifier its key, and both a server."""
    if not {"fallback_urls", "fallback_eab_kid"} <= info.data.keys():
        return keys
    servers, identifiers = info.data["fallback_urls"], info.data["fallback_eab_kid"]
    if [bool(key) for key in keys] != [bool(identifier) for identifier in identifiers]:
        raise ValueError("it does not have one key for each of ACME_FALLBACK_EAB_KID")
    if len(keys) > len(servers):
        raise ValueError("there are more keys than servers in ACME_FALLBACK_SERVER")
    return keys


class FallbackSettings(environment.Settings):
    """Where certificates come from while the first server does not issue."""

    fallback_urls: Annotated[tuple[str, ...], PlainValidator(_parse_servers)] = Field(
        alias="ACME_FALLBACK_SERVER",
        default=(),
        description=(
            "Who is asked while the server of `OPTIONS` is down, fails or has no more to give, and a certificate is "
            "missing or in the last sixth of its life. At its renewal the first one is asked first again."
        ),
        json_schema_extra={"accepts": "addresses of ACME directories, separated by commas, the next best first"},
    )
    fallback_email: Annotated[str, BeforeValidator(parse_email)] | None = Field(
        alias="ACME_FALLBACK_EMAIL",
        default=None,
        description="Whom those may write to about the account; unset: `EMAIL`.",
        json_schema_extra={"accepts": "an e-mail address"},
    )
    fallback_eab_kid: Annotated[tuple[str, ...], PlainValidator(_parse_keys)] = Field(
        alias="ACME_FALLBACK_EAB_KID",
        default=(),
        repr=False,
        description="The identifiers of external accounts there, for servers that want one.",
        json_schema_extra={"accepts": _ONE_EACH, "secret": True},
    )
    fallback_eab_hmac_key: Annotated[tuple[str, ...], PlainValidator(_parse_keys), AfterValidator(_check_pairs)] = (
        Field(
            alias="ACME_FALLBACK_EAB_HMAC_KEY",
            default=(),
            validate_default=True,
            repr=False,
            description="The keys of these accounts.",
            json_schema_extra={"accepts": _ONE_EACH, "secret": True},
        )
    )

    @property
    def fallback_servers(self) -> tuple[FallbackServer, ...]:
        """The servers with what each is given, in their order."""
        places = range(len(self.fallback_urls))
        kids = [*self.fallback_eab_kid, *("" for _ in places)]
        keys = [*self.fallback_eab_hmac_key, *("" for _ in places)]
        return tuple(
            FallbackServer(Directory(self.fallback_urls[place], kids[place]), keys[place], self.fallback_email)
            for place in places
        )
