"""``companion``, the command line of the HAProxy container, and the wiring of the agent."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from proxy_agent import settings as agent_settings
from proxy_agent.daemon import log as daemon_log
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.settings import SettingsError
from proxy_agent.settings import Settings
from proxy_agent.status import Status, read_status

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).resolve().parents[1] / "haproxy"
EXIT_SETTINGS = 2


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """Keeps HAProxy's routes and certificates true to the containers of this host."""
    try:
        context.obj = agent_settings.load(os.environ)
    except SettingsError as error:
        click.echo(error, err=True)
        context.exit(EXIT_SETTINGS)
    daemon_log.configure(context.obj.log_format, "debug" if context.obj.debug else context.obj.log_level)


@main.command()
@click.argument("command", nargs=-1)
@click.pass_obj
def prepare(settings: Settings, command: tuple[str, ...]) -> None:
    """Open HAProxy's ports, write what it reads when it starts, and become COMMAND, which starts it."""
    from proxy_agent.held_sockets import hold  # noqa: PLC0415 - the light commands do without Docker and Jinja
    from proxy_agent.wiring import wire  # noqa: PLC0415

    held = hold(settings) if command else {}
    try:
        wire(settings, TEMPLATES, _now).agent.prepare()
    except OperationalError as error:
        log.error("%s", error)
        sys.exit(1)
    if command:
        os.execvpe(command[0], command, {**os.environ, **held})


@main.command()
def refuse() -> None:
    """Refuse new connections from now on; run when HAProxy is told to end and not to start again."""
    from proxy_agent.held_sockets import refuse as refuse_connections  # noqa: PLC0415

    refuse_connections(os.environ)


@main.command()
@click.pass_obj
def run(settings: Settings) -> None:
    """Look at containers and certificates and act, until stopped."""
    from proxy_agent.daemon.liveness import end_unless_called_again  # noqa: PLC0415
    from proxy_agent.daemon.wakeup import Wakeup  # noqa: PLC0415
    from proxy_agent.wiring import wire  # noqa: PLC0415

    wakeup = Wakeup()
    wakeup.listen_to_signals()
    threading.excepthook = _die_with_thread
    parts = wire(settings, TEMPLATES, _now)
    try:
        parts.deployment.lock()
        parts.certificates.watch(wakeup.ring)
        parts.containers.watch(wakeup.ring, wakeup.hurry)
        parts.agent.run(wakeup, _publisher(settings.status_file), end_unless_called_again)
    except OperationalError as error:
        log.error("%s", error)
        sys.exit(1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Show what is served, by whom and until when, and what was left out and why."""
    try:
        current = read_status(settings.status_file)
    except OperationalError as error:
        raise click.ClickException(str(error)) from None
    click.echo(current.model_dump_json(indent=2) if as_json else current.text(_now()))


@main.command()
@click.pass_obj
def healthcheck(settings: Settings) -> None:
    """Exit with 0 if traffic is answered and the agent keeps up, else with 1 and the reason."""
    from proxy_agent.health import check_health  # noqa: PLC0415

    try:
        click.echo(check_health(settings, _now()))
    except OperationalError as error:
        raise click.ClickException(str(error)) from None


def _publisher(path: Path) -> Callable[[Status], None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return lambda current: current.write(path)


def _die_with_thread(failure: threading.ExceptHookArgs) -> None:
    """A thread that only rings must not die unseen: without it the agent would look alive and be blind."""
    log.critical("A watcher died: %s", failure.exc_value, exc_info=failure.exc_value)
    os._exit(1)


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main(prog_name="companion")
