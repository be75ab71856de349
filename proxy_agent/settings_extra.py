"""The settings of the HAProxy container that carry raw lines of HAProxy's configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic.config import JsonDict

from proxy_agent.daemon import settings as environment

_LINES: JsonDict = {"accepts": "lines separated by commas, `\\,` for a comma of their own"}
_FILE: JsonDict = {"accepts": "the path of a file in the container"}


class ExtraSettings(environment.Settings):
    """Raw lines, and who else may bring some."""

    extra_global_settings: str = Field(
        alias="EXTRA_GLOBAL_SETTINGS",
        default="",
        description="Raw HAProxy lines for the end of `global`; see [Raw HAProxy settings](#raw-haproxy-settings).",
        json_schema_extra=_LINES,
    )
    extra_global_settings_file: Path | None = Field(
        alias="EXTRA_GLOBAL_SETTINGS_FILE",
        default=None,
        description="The same from a file.",
        json_schema_extra=_FILE,
    )
    extra_default_settings: str = Field(
        alias="EXTRA_DEFAULT_SETTINGS",
        default="",
        description="Raw HAProxy lines for the end of `defaults`.",
        json_schema_extra=_LINES,
    )
    extra_default_settings_file: Path | None = Field(
        alias="EXTRA_DEFAULT_SETTINGS_FILE",
        default=None,
        description="The same from a file.",
        json_schema_extra=_FILE,
    )
    extra_bind_settings: str = Field(
        alias="EXTRA_BIND_SETTINGS",
        default="",
        description="Words for the end of `bind` lines.",
        json_schema_extra={"accepts": "port:words, separated by commas: 443:strict-sni"},
    )
    extra_frontend_settings: Mapping[str, str] = Field(
        alias="EXTRA_FRONTEND_SETTINGS_<PORT>",
        default={},
        description="Raw HAProxy lines for the frontend of a port; one without routes is opened in plain HTTP.",
        json_schema_extra={**_LINES, "default_text": ""},
    )
    extra_frontend_settings_file: Mapping[str, str] = Field(
        alias="EXTRA_FRONTEND_SETTINGS_FILE_<PORT>",
        default={},
        description="The same from a file.",
        json_schema_extra={**_FILE, "default_text": ""},
    )
    additional_backend: Mapping[str, str] = Field(
        alias="ADDITIONAL_BACKEND_<NAME>",
        default={},
        description="A further backend of that name, for `use_backend` in the lines of a frontend.",
        json_schema_extra={**_LINES, "default_text": ""},
    )
    additional_backend_file: Mapping[str, str] = Field(
        alias="ADDITIONAL_BACKEND_FILE_<NAME>",
        default={},
        description="The same from a file.",
        json_schema_extra={**_FILE, "default_text": ""},
    )
    extra_settings_policy: Literal["strict", "open", "off"] = Field(
        alias="EXTRA_SETTINGS_POLICY",
        default="strict",
        description=(
            "What web containers may write in `EXTRA_SETTINGS`: `strict` what concerns nobody else, `open` whatever "
            "HAProxy takes in a backend, `off` nothing."
        ),
        json_schema_extra={"accepts": "strict, open or off"},
    )
