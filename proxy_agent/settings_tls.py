"""Settings of the HAProxy container: what TLS is spoken, and certificates that come with the environment."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from proxy_agent import settings_grammar as grammar
from proxy_agent.daemon import settings as environment
from proxy_agent.settings_grammar import Reading
from proxy_agent.tls import policy as tls_policy
from proxy_agent.tls.policy import BindOptions, Policy

_SECRET_PEM: dict[str, Any] = {"accepts": "PEM; line breaks may be written \\n", "secret": True}
_LARGEST_PEM = 65536


def _parse_policy(text: object) -> Reading[Policy]:
    """A policy; an unknown name is Mozilla's intermediate one, with a doubt."""
    try:
        return Reading(tls_policy.parse_policy(str(text)))
    except ValueError as error:
        return Reading(tls_policy.INTERMEDIATE, (f"{error}; Mozilla-Intermediate is used",))


def _parse_bind_options(text: object) -> BindOptions:
    return tls_policy.parse_bind_options(str(text))


def _parse_ciphers(text: object) -> str:
    return tls_policy.parse_ciphers(str(text))


def parse_pem(text: object) -> bytes:
    """PEM with its line breaks written as such or as a backslash and an n; raises ValueError without quoting it."""
    pem = str(text).replace("\\n", "\n").strip()
    if "-----BEGIN " not in pem or len(pem) > _LARGEST_PEM or not pem.isascii():
        raise ValueError("it holds no PEM")
    return f"{pem}\n".encode()


def _parse_names(text: object) -> tuple[str, ...]:
    """Names of variables, separated by commas; raises ValueError without quoting: it may be a key itself."""
    names = grammar.items(str(text))
    if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,100}", name) for name in names):
        raise ValueError("it does not name variables")
    return tuple(dict.fromkeys(names))


Pem = Annotated[bytes, BeforeValidator(parse_pem)]


class TlsSettings(environment.Settings):
    """Handshakes."""

    ssl_policy: Annotated[Reading[Policy], BeforeValidator(_parse_policy)] = Field(
        alias="SSL_POLICY",
        default=Reading(tls_policy.INTERMEDIATE),
        description="Versions and ciphers of TLS.",
        json_schema_extra={
            "accepts": "Mozilla-Modern, Mozilla-Intermediate, Mozilla-Old, or AWS's such as AWS-TLS13-1-2-2021-06",
            "default_text": "Mozilla-Intermediate",
        },
    )
    ssl_bind_options: Annotated[BindOptions, BeforeValidator(_parse_bind_options)] = Field(
        alias="SSL_BIND_OPTIONS",
        default=BindOptions(),
        description="In place of what the policy says of versions; TLS below 1.2 needs a policy that has it.",
        json_schema_extra={
            "accepts": "words such as ssl-min-ver TLSv1.3 or no-tlsv12",
            "default_text": "",
        },
    )
    ssl_bind_ciphers: Annotated[str, BeforeValidator(_parse_ciphers)] = Field(
        alias="SSL_BIND_CIPHERS",
        default="",
        description="In place of the policy's ciphers below TLS 1.3.",
        json_schema_extra={"accepts": "names of OpenSSL's, separated by ':'"},
    )
    ca_cert_file: Path | None = Field(
        alias="CA_CERT_FILE",
        default=None,
        description="Ask every client for a certificate of this CA: a file that you mount. Before `CA_CERT`.",
        json_schema_extra={"accepts": "a path in the container"},
    )
    ca_cert: Pem | None = Field(
        alias="CA_CERT",
        default=None,
        repr=False,
        description="The same, written out.",
        json_schema_extra=_SECRET_PEM,
    )
    default_ssl_cert: Pem | None = Field(
        alias="DEFAULT_SSL_CERT",
        default=None,
        repr=False,
        description="The certificate, with key and chain, for clients that ask for no name or an unknown one.",
        json_schema_extra=_SECRET_PEM,
    )
    ssl_cert: Pem | None = Field(
        alias="SSL_CERT",
        default=None,
        repr=False,
        description="Another name of `DEFAULT_SSL_CERT`.",
        json_schema_extra=_SECRET_PEM,
    )
    extra_ssl_certs: Annotated[tuple[str, ...], BeforeValidator(_parse_names)] = Field(
        alias="EXTRA_SSL_CERTS",
        default=(),
        description="Variables of this container, which a `compose.override.yaml` adds, with further certificates.",
        json_schema_extra={"accepts": "names of variables, separated by commas", "secret": True},
    )

    # What the variables that EXTRA_SSL_CERTS names hold; filled in when they are read.
    extra_pems: Mapping[str, str] = Field(alias="(extra certificates)", default={}, exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _with_extra_certificates(cls, given: dict[str, Any]) -> dict[str, Any]:
        names = str(given.get("EXTRA_SSL_CERTS", "")).split(",")
        pems = {name.strip(): given[name.strip()] for name in names if name.strip() in given}
        return {**given, "(extra certificates)": pems}

    @property
    def tls(self) -> Policy:
        """What is spoken, after all three settings."""
        policy = self._applied[0]
        return replace(policy, highest="TLSv1.3") if self.speaks_1_3_for_us else policy

    @property
    def speaks_1_3_for_us(self) -> bool:
        """Whether TLS 1.3 is spoken against the policy.

        Where clients have to show a certificate, only there does one without see that of the server, as the agent's
        own handshakes have to.
        """
        return bool(self.ca_cert_file or self.ca_cert) and self._applied[0].highest != "TLSv1.3"

    @property
    def policy_doubts(self) -> tuple[str, ...]:
        """What SSL_BIND_OPTIONS asks for and does not get."""
        return self._applied[1]

    @property
    def _applied(self) -> tuple[Policy, tuple[str, ...]]:
        return tls_policy.applied(self.ssl_policy.value, self.ssl_bind_options, self.ssl_bind_ciphers)
