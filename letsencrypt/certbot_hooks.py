"""What becomes of certbot's hooks in its process: those of a new certificate are left to others."""

import functools
import json
import os
import time
from pathlib import Path

from certbot.compat import misc


def put_off_deploy_hooks(folder: Path) -> None:
    """Leave deploy hooks in *folder*, from where they are run, and run again where they fail.

    certbot forgets a deploy hook that fails, and waits for one that hangs. Hooks before and after are its own.
    """
    execute = misc.execute_command_status

    @functools.wraps(execute)
    def listen(cmd_name: str, shell_cmd: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        if cmd_name != "deploy-hook":
            status, errors, words = execute(cmd_name, shell_cmd, env)
            if status:
                last = (errors.strip() or "it said nothing").splitlines()[-1]
                _leave(
                    folder, {"failed": f"certbot's {cmd_name}", "reason": f"it ended with the status {status}: {last}"}
                )
            return status, errors, words
        told = {name: (env or {}).get(name, "") for name in ("RENEWED_LINEAGE", "RENEWED_DOMAINS")}
        _leave(folder, {"command": shell_cmd, **told})
        return 0, "", ""

    misc.execute_command_status = listen


def _leave(folder: Path, body: dict[str, str]) -> None:
    """An item for outbox.Outbox."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{time.monotonic_ns()}-{os.getpid()}.json"
    temporary = folder / f".tmp-{name}"
    with temporary.open("x", encoding="utf-8") as file:
        json.dump({"body": body}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / name)
