"""certbot's ``renewal/NAME.conf``: what it keeps of a lineage beside its files, read and written as certbot does."""

import re
from collections.abc import Sequence
from pathlib import Path

from configobj import ConfigObj, ConfigObjError  # type: ignore[import-untyped]  # what certbot reads the file with

from proxy_agent.daemon.files import write_whole

KINDS = ("cert", "privkey", "chain", "fullchain")
"""The files of one version of a lineage."""

_HARD_LINE = re.compile(rb"\s*\[.{300}")
"""What looks like a heading and is longer than any: over such a one ConfigObj thinks for hours."""


def path_of(config: Path, name: str) -> Path:
    """Where that of the lineage *name* is, in certbot's folder *config*."""
    return config / "renewal" / f"{name}.conf"


def read_renewal_file(config: Path, name: str) -> ConfigObj | None:
    """What it says; None if there is none, or it cannot be read."""
    try:
        if any(map(_HARD_LINE.match, path_of(config, name).read_bytes().splitlines())):
            return None
        return ConfigObj(str(path_of(config, name)), file_error=True, encoding="utf-8", interpolation=False)
    except (OSError, ConfigObjError, UnicodeDecodeError):
        return None


def server_of(config: Path, name: str) -> str | None:
    """The directory URL of the CA that certbot would ask; None if the file does not say."""
    parameters = (read_renewal_file(config, name) or {}).get("renewalparams")
    server = parameters.get("server") if isinstance(parameters, dict) else None
    return None if server is None else str(server)


def copy_renewal_file(config: Path, source: str, name: str) -> None:
    """Give the lineage *name* the one of *source*, with its own paths; nothing if that cannot be read.

    Raises OperationalError.
    """
    conf = read_renewal_file(config, source)
    if conf is None:
        return
    conf["archive_dir"] = str(config / "archive" / name)
    conf.update({kind: str(config / "live" / name / f"{kind}.pem") for kind in KINDS})
    conf.filename = None
    lines: Sequence[bytes | str] = conf.write()
    text = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    write_whole(path_of(config, name), text + b"\n")
