"""What certbot remembers of the CA's advice to renew (RFC 9773), where that would hide that a renewal is due."""

import contextlib
from pathlib import Path

from letsencrypt.renewal_file import path_of
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole

_SECTION = "[acme_renewal_info]"


def prepare_advice(config: Path, name: str, ask_anew: bool) -> None:
    """Have the next run for the lineage *name* ask the CA at once, if *ask_anew*; else as certbot thinks.

    certbot notes in its renewal file until when it need not ask again, and forgets what the advice was
    (certbot/_internal/renewal.py should_autorenew): a renewal that was due and failed seems not due for six hours.
    Never raises: without this it is asked some hours later.
    """
    if not ask_anew:
        return
    conf = path_of(config, name)
    with contextlib.suppress(OSError, UnicodeDecodeError, OperationalError):
        text = conf.read_text("utf-8")
        if (shorter := without_section(text)) != text:
            write_whole(conf, shorter.encode(), mode=conf.stat().st_mode & 0o777)


def without_section(text: str) -> str:
    r"""*text* of a renewal file without what certbot remembers.

    >>> without_section("version = 5\n[acme_renewal_info]\nari_retry_after = x\n[renewalparams]\n[[webroot_map]]\n")
    'version = 5\n[renewalparams]\n[[webroot_map]]\n'
    """
    kept = []
    inside = False
    for line in text.splitlines(keepends=True):
        word = line.strip()
        inside = word == _SECTION or (inside and not (word.startswith("[") and not word.startswith("[[")))
        if not inside:
            kept.append(line)
    return "".join(kept)
