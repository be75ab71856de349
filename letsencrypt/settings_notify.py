"""The settings about being told of events."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator, SecretStr

from letsencrypt.events import Kind
from proxy_agent.daemon import settings as environment

ACCEPTS_URLS = "http or https URLs, separated by spaces"
CHOICES = tuple(kind for kind in Kind if kind is not Kind.TEST)
DEFAULT = frozenset(CHOICES) - {Kind.ISSUED, Kind.RENEWED}
"""What somebody has to act on, and its end. A renewal is no news: it is every other month's normal day."""


def parse_urls(text: str) -> list[str]:
    """Read the URLs of webhooks; raises ValueError that quotes none of them, as they hold tokens.

    >>> parse_urls("https://chat.example/hook/1 http://10.0.0.7:8080/?token=x")
    ['https://chat.example/hook/1', 'http://10.0.0.7:8080/?token=x']
    """
    urls = re.split(r"[\s,]+(?=https?://)|\s+", text.strip())
    for number, url in enumerate(urls, 1):
        try:
            parts = urlsplit(url)
            is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not (is_url and url.isprintable()):
            raise ValueError(f"number {number} of what is given is no http or https URL")
    return urls


def _parse_secret_urls(text: object) -> tuple[SecretStr, ...]:
    return tuple(SecretStr(url) for url in parse_urls(str(text)))


def _parse_kinds(text: object) -> frozenset[Kind]:
    words = {word.lower() for word in re.split(r"[\s,]+", str(text)) if word}
    if words == {"all"}:
        return frozenset(CHOICES)
    if unknown := sorted(words - set(CHOICES)):
        raise ValueError(f"there is no event {unknown[0][:40]!r}")
    return frozenset(Kind(word) for word in words)


def _parse_program(text: object) -> str:
    if not (str(text).startswith("/") and str(text).isprintable()):
        raise ValueError("it is not the path of a file in the container")
    return str(text)


class NotifySettings(environment.Settings):
    """Who is told of what."""

    notify_urls: Annotated[tuple[SecretStr, ...], PlainValidator(_parse_secret_urls)] = Field(
        alias="NOTIFY_URL",
        default=(),
        description="Webhooks that are told of [events](#being-told), by POST of a JSON document.",
        json_schema_extra={"accepts": ACCEPTS_URLS, "default_text": "", "secret": True},
    )
    notify_url_file: Annotated[Path, PlainValidator(lambda text: Path(_parse_program(text)))] | None = Field(
        alias="NOTIFY_URL_FILE",
        default=None,
        description="The same from a file, which is read anew each time; both count.",
        json_schema_extra={"accepts": "the path of a file in the container"},
    )
    notify_events: Annotated[frozenset[Kind], PlainValidator(_parse_kinds)] = Field(
        alias="NOTIFY_EVENTS",
        default=DEFAULT,
        description="Which events webhooks are told.",
        json_schema_extra={
            "accepts": f"{', '.join(CHOICES)}, or all",
            "default_text": ",".join(kind for kind in CHOICES if kind in DEFAULT),
        },
    )
    notify_exec: Annotated[str, PlainValidator(_parse_program)] | None = Field(
        alias="NOTIFY_EXEC",
        default=None,
        description="A program that is run for every event, with the JSON document on standard input.",
        json_schema_extra={"accepts": "the path of an executable file in the container, such as /hooks/notify"},
    )
