"""``python -m letsencrypt``, the command line of the letsencrypt container, and the wiring of its loop."""

import logging
import os
import random
import sys
import threading
from datetime import UTC, datetime

import click

from letsencrypt import settings as letsencrypt_settings
from letsencrypt.health import Heartbeat, check_health
from letsencrypt.settings import Settings
from proxy_agent.daemon import log as daemon_log
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.settings import SettingsError

log = logging.getLogger("letsencrypt")

EXIT_SETTINGS = 2


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Obtains and renews certificates, and publishes them for the load balancer; runs until stopped."""
    try:
        context.obj = letsencrypt_settings.load(os.environ)
    except SettingsError as error:
        click.echo(error, err=True)
        context.exit(EXIT_SETTINGS)
    daemon_log.configure(context.obj.log_format, context.obj.log_level)
    if context.invoked_subcommand is None:
        context.invoke(run)


@main.command()
@click.pass_obj
def run(settings: Settings) -> None:
    """Look after all certificates until stopped; what runs without a command."""
    from letsencrypt.wiring import wire  # noqa: PLC0415 - the health check does without certbot's libraries
    from proxy_agent.daemon.wakeup import Wakeup  # noqa: PLC0415

    threading.excepthook = _die_with_thread
    wakeup = Wakeup()
    wakeup.listen_to_signals()
    try:
        server, loop = wire(settings, wakeup, _now, random.random)
        tell_settings(settings)
        server.start()
        loop.run()
    except OperationalError as error:
        log.error("%s", error)
        sys.exit(1)


@main.command()
@click.pass_obj
def healthcheck(settings: Settings) -> None:
    """Exit with 0 if challenges are answered and the loop is alive, else with 1 and the reason."""
    try:
        click.echo(check_health(settings.challenge_port, Heartbeat(settings.heartbeat)))
    except OperationalError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def preflight(settings: Settings, names: tuple[str, ...]) -> None:
    """Look at NAMEs, or at all wanted ones, as a CA would. Exits with 0 if all is well, 1 in doubt, 2 if one fails."""
    from letsencrypt.preflight import worst  # noqa: PLC0415
    from letsencrypt.preflight_command import run_preflight, shown  # noqa: PLC0415

    try:
        verdicts = list(run_preflight(settings, names, _now))
    except (OperationalError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    for line in shown(verdicts):
        click.echo(line)
    sys.exit(worst(verdicts))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document, for machines.")
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Say of each certificate until when it is valid, what came of the last try, and when the next one is."""
    from letsencrypt.status import format_json, read_status  # noqa: PLC0415 - the health check does without

    lines, problems = read_status(settings.letsencrypt_folder, settings.certs_folder, _now())
    click.echo(format_json(lines) if as_json else "\n".join(map(str, lines)) or "No certificate is known.")
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        sys.exit(1)


@main.command()
@click.argument("name")
@click.pass_obj
def retry(settings: Settings, name: str) -> None:
    """Try the certificate NAME again now, where the CA did not say when to come back."""
    _ask(settings, "retry", name)


@main.command()
@click.argument("name")
@click.pass_obj
def forget(settings: Settings, name: str) -> None:
    """Remove the certificate NAME, its key included, which nobody wants any more."""
    _ask(settings, "forget", name)


@main.command()
@click.pass_obj
def notify(settings: Settings) -> None:
    """Tell a test event to every webhook and the program. Exits with 0 if each took it, else with 1."""
    from letsencrypt.courier import tell_now  # noqa: PLC0415 - the health check does without

    failed = False
    try:
        for title, fault in tell_now(settings.listeners, _now()):
            failed |= bool(fault)
            click.echo(f"{title} failed: {fault}." if fault else f"{title} took it.")
    except OperationalError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(failed)


def _ask(settings: Settings, verb: str, name: str) -> None:
    """Have the running loop do it, between two runs of certbot."""
    from letsencrypt.control import Control, Order, Verb  # noqa: PLC0415 - the health check does without
    from letsencrypt.status import read_status  # noqa: PLC0415

    try:
        Heartbeat(settings.heartbeat).check()
        lines, _ = read_status(settings.letsencrypt_folder, settings.certs_folder, _now())
        meant = {line.lineage for line in lines if name in (line.lineage, *line.names)}
        if not meant:
            raise OperationalError(f"No certificate is known as {name[:100]!r}: see the command status.")
        if verb == Verb.FORGET and any(line.wanted for line in lines if line.lineage in meant):
            raise OperationalError(f"{name} is still wanted: first take it out of DOMAINS, or stop who asks for it.")
        for lineage in sorted(meant):
            Control(settings.control_folder).ask(Order(Verb(verb), lineage))
    except OperationalError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Asked to {verb} {', '.join(sorted(meant))}; the log says what comes of it.")


def tell_settings(settings: Settings) -> None:
    """Say once what of the settings is not done, and what would be good to set."""
    for skipped in settings.domains.skipped:
        log.warning("DOMAINS: skipped %s.", skipped)
    for refused in settings.options.refused:
        log.error("%s. No certificate is ordered until OPTIONS is changed.", refused)
    if not settings.domains.lineages and settings.auto_domains:
        log.info(
            "DOMAINS is not set: certificates are obtained for the VIRTUAL_HOST names of containers, as they start."
        )
    elif not settings.domains.lineages:
        log.warning("There is nothing to do: set DOMAINS to the names that need certificates, like www.example.com.")
    elif settings.email is None:
        log.warning("EMAIL is not set, so the CA has no way to write to you about the account.")


def _die_with_thread(failure: threading.ExceptHookArgs) -> None:
    """Without its challenge server this container would look alive and validate nothing."""
    log.critical("The challenge server died: %s", failure.exc_value, exc_info=failure.exc_value)
    os._exit(1)


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main(prog_name="python -m letsencrypt")
