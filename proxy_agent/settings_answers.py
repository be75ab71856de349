"""Settings of the HAProxy container: what is answered where services leave it open, and what it says of itself."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from proxy_agent import access_log
from proxy_agent import settings_grammar as grammar
from proxy_agent.daemon import settings as environment
from proxy_agent.default_root import DefaultRoot, parse_default_root
from proxy_agent.routing.values import haproxy_word
from proxy_agent.settings_grammar import HostPort, Login
from proxy_agent.settings_traffic import YES_OR_NO, Port
from proxy_agent.tls.names import Identifier, parse_identifier

Redirects = Literal["redirect", "noredirect", "nohttp", "nohttps"]


def _parse_host(text: object) -> Identifier:
    """One name or address; raises ValueError quoting it."""
    name = parse_identifier(str(text))
    if str(name).startswith("*"):
        raise ValueError("a wildcard is not one host")
    return name


def _parse_destination(text: object) -> HostPort:
    return grammar.parse_host_port(text, 514)


class AnswerSettings(environment.Settings):
    """Requests, and the ports for those who watch over the proxy."""

    default_host: Annotated[Identifier, BeforeValidator(_parse_host)] | None = Field(
        alias="DEFAULT_HOST",
        default=None,
        description="The host whose services answer requests for hosts that nobody serves; unset: 503.",
        json_schema_extra={"accepts": "a host name"},
    )
    default_root: Annotated[DefaultRoot, BeforeValidator(parse_default_root)] = Field(
        alias="DEFAULT_ROOT",
        default=DefaultRoot(404),
        description="The answer to paths of a host with `VIRTUAL_PATH` that nobody serves; `none`: as an unknown host.",
        json_schema_extra={
            "accepts": "a status, none, or 301 https://www.example.com$request_uri (also $scheme, $host)",
            "default_text": "404",
        },
    )
    https_method: Redirects | None = Field(
        alias="HTTPS_METHOD",
        default=None,
        description="For services that say nothing themselves; see below.",
        json_schema_extra={"accepts": "redirect, noredirect, nohttp or nohttps"},
    )
    non_get_redirect: Literal["301", "307", "308"] = Field(
        alias="NON_GET_REDIRECT",
        default="301",
        description="The status that redirects anything but `GET` and `HEAD`, where the service says nothing.",
        json_schema_extra={"accepts": "301, 307 or 308"},
    )
    http_without_certificate: bool = Field(
        alias="ENABLE_HTTP_ON_MISSING_CERT",
        default=True,
        description="Answer plain HTTP for a host without a certificate; `no`: `redirect` and `nohttp` hold at once.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "yes"},
    )
    trust_default_cert: bool | None = Field(
        alias="TRUST_DEFAULT_CERT",
        default=None,
        description=(
            "`yes`: your own default certificate is good for every host, which is redirected to HTTPS then; `no`: "
            "clients that ask for a name without a certificate get none (`unrecognized_name`)."
        ),
        json_schema_extra={"accepts": YES_OR_NO},
    )
    passes_challenges: Literal["true", "legacy", "false"] = Field(
        alias="ACME_HTTP_CHALLENGE_LOCATION",
        default="true",
        description="`false`: pass challenges of the CA on like other requests; no certificate is obtained here then.",
        json_schema_extra={"accepts": "true, legacy (the same) or false"},
    )
    additional_services: Annotated[tuple[str, ...], BeforeValidator(grammar.parse_services)] = Field(
        alias="ADDITIONAL_SERVICES",
        default=(),
        description="Services that are missed where they do not run. All projects are served anyway.",
        json_schema_extra={"accepts": "project:service, separated by commas"},
    )
    monitor_uri: Annotated[str, BeforeValidator(grammar.parse_path)] | None = Field(
        alias="MONITOR_URI",
        default=None,
        description="The path, on `MONITOR_PORT`, that is answered with 200 as long as HAProxy lives.",
        json_schema_extra={"accepts": "a path"},
    )
    monitor_port: Port | None = Field(
        alias="MONITOR_PORT",
        default=None,
        description="A port of its own or one that is served; publish it where it is asked from outside.",
        json_schema_extra={"accepts": "a port"},
    )
    stats_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        alias="STATS_PORT",
        default=1936,
        description="Statistics, and `/metrics` for Prometheus; without `STATS_AUTH` inside the container only.",
        json_schema_extra={"accepts": "a port, or 0 for none"},
    )
    stats_auth: Annotated[Login, BeforeValidator(grammar.parse_login)] | None = Field(
        alias="STATS_AUTH",
        default=None,
        description="Who may see the statistics from outside.",
        json_schema_extra={"accepts": "user:password", "secret": True},
    )
    access_log_format: Annotated[str, BeforeValidator(access_log.parse_format)] | None = Field(
        alias="ACCESS_LOG_FORMAT",
        default=None,
        description="What a line about a request holds.",
        json_schema_extra={"accepts": "a log-format of HAProxy's with %, or $host, $remote_addr, $status … of nginx's"},
    )
    log_json: bool = Field(
        alias="LOG_JSON",
        default=False,
        description="Lines about requests as JSON, unless `ACCESS_LOG_FORMAT` is set.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "no"},
    )
    disable_access_logs: bool = Field(
        alias="DISABLE_ACCESS_LOGS",
        default=False,
        description="`yes` is `ACCESS_LOG=no`.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "no"},
    )
    syslog: Annotated[HostPort, BeforeValidator(_parse_destination)] | None = Field(
        alias="RSYSLOG_DESTINATION",
        default=None,
        description="A syslog server that gets HAProxy's log too, by UDP.",
        json_schema_extra={"accepts": "host or host:port"},
    )
    debug: bool = Field(
        alias="DEBUG",
        default=False,
        description="`yes` is `LOG_LEVEL=debug`.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "no"},
    )

    @property
    def request_format(self) -> str | None:
        """The format of HAProxy's access log, as one word; None for HAProxy's own."""
        chosen = self.access_log_format or (access_log.JSON if self.log_json else None)
        return haproxy_word(chosen) if chosen else None

    @property
    def monitor(self) -> tuple[str, int] | None:
        """Path and port, both of which are needed, and the port not that of the statistics."""
        if not self.monitor_uri or not self.monitor_port or self.monitor_port == self.stats_port:
            return None
        return self.monitor_uri, self.monitor_port
