"""The commands that ask something of the running loop; each is safe at any moment, as only the loop acts."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

import click

from letsencrypt.control import DROP, FORCE, Answer, Control, Order, Verb
from letsencrypt.health import Heartbeat
from letsencrypt.settings import Settings
from proxy_agent.daemon.errors import OperationalError

# What else is needed is imported where it is needed: the health check, which starts each minute, does without.

_LOOK = 0.2
"""Seconds between two looks for an answer."""
_KEYS = ("ec-256", "ec-384", "rsa-2048", "rsa-3072", "rsa-4096")

wait_option = click.option(
    "--wait",
    type=click.IntRange(min=0),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for what comes of it; 0: not at all, the log tells it.",
)


@click.command()
@click.argument("name")
@wait_option
@click.pass_obj
def retry(settings: Settings, name: str, wait: int) -> None:
    """Try the certificate NAME again now, where the CA did not say when to come back."""
    _ask(settings, [Order(Verb.RETRY, lineage) for lineage in _meant(settings, name)], wait)


@click.command()
@click.argument("name")
@wait_option
@click.pass_obj
def forget(settings: Settings, name: str, wait: int) -> None:
    """Remove the certificate NAME, its key included, which nobody wants any more but the command issue."""
    meant = _meant(settings, name)
    _check_unwanted(settings, meant)
    _ask(settings, [Order(Verb.FORGET, lineage) for lineage in meant], wait)


@click.command()
@click.argument("name", required=False, default="")
@click.option("--force", is_flag=True, help="Order it now, due or not; it counts against the CA's limits.")
@wait_option
@click.pass_obj
def renew(settings: Settings, name: str, force: bool, wait: int) -> None:
    """Look now whether the renewal of the certificate NAME, or of any, is due."""
    if force and not name:
        raise click.UsageError("--force needs the NAME of a certificate.")
    words = (FORCE,) if force else ()
    meant = _meant(settings, name) if name else [""]
    _ask(settings, [Order(Verb.RENEW, lineage, words) for lineage in meant], wait)


@click.command()
@click.argument("name")
@click.option(
    "--reason",
    type=click.Choice(["unspecified", "keycompromise", "affiliationchanged", "superseded", "cessationofoperation"]),
    default="unspecified",
    show_default=True,
    help="What the CA is told. Only superseded waits for the new certificate for as long as it takes.",
)
@click.option("--drop", is_flag=True, help="Remove the certificate instead, which nobody wants any more.")
@wait_option
@click.pass_obj
def revoke(settings: Settings, name: str, reason: str, drop: bool, wait: int) -> None:
    """Have the CA revoke the certificate NAME, after another with a new key took its place."""
    meant = _meant(settings, name)
    if drop:
        _check_unwanted(settings, meant)
    words = (reason, DROP) if drop else (reason,)
    _ask(settings, [Order(Verb.REVOKE, lineage, words) for lineage in meant], wait)


@click.command()
@click.argument("names", metavar="NAME[,NAME]...", nargs=-1, required=True)
@click.option("--staging", is_flag=True, help="From Let's Encrypt's staging server.")
@click.option("--server", metavar="URL", help="From this ACME server.")
@click.option("--email", metavar="ADDRESS", help="Instead of EMAIL.")
@click.option("--key", type=click.Choice(_KEYS), help="The kind of private key.")
@click.option("--reuse-key", is_flag=True, default=None, help="Keep the private key at renewals.")
@click.option("--profile", metavar="NAME", help="A certificate profile of the CA's.")
@click.option("--preferred-chain", metavar="ISSUER", help="Where the CA offers several chains.")
@wait_option
@click.pass_obj
def issue(settings: Settings, /, names: tuple[str, ...], wait: int, **options: object) -> None:
    """Obtain one certificate for NAMEs that nobody wants yet, and look after it until it is forgotten."""
    from letsencrypt.lineages import lineage_name  # noqa: PLC0415
    from letsencrypt.manual import format_request, read_request  # noqa: PLC0415
    from proxy_agent.tls.names import parse_identifier  # noqa: PLC0415

    if settings.options.refused:
        raise click.ClickException("No certificate is ordered until OPTIONS is changed; the log says why.")
    try:
        request = read_request(",".join(names), options)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    name = lineage_name(parse_identifier(request.names[0]))
    _ask(settings, [Order(Verb.ISSUE, name, (format_request(request),))], wait)


def _meant(settings: Settings, name: str) -> list[str]:
    """The lineages that are known as *name*, by their own name or one that they are for."""
    from letsencrypt.status import read_status  # noqa: PLC0415

    lines, _ = read_status(settings.letsencrypt_folder, settings.certs_folder, datetime.now(UTC))
    meant = {line.lineage for line in lines if name == line.lineage}
    meant = meant or {line.lineage for line in lines if name in line.names}
    if not meant:
        raise click.ClickException(f"No certificate is known as {name[:100]!r}: see the command status.")
    return sorted(meant)


def _check_unwanted(settings: Settings, lineages: Iterable[str]) -> None:
    from letsencrypt.lineages import BY_COMMAND  # noqa: PLC0415
    from letsencrypt.status import read_status  # noqa: PLC0415

    lines, _ = read_status(settings.letsencrypt_folder, settings.certs_folder, datetime.now(UTC))
    for line in lines:
        if line.lineage in lineages and line.wanted and line.asked_by != (BY_COMMAND,):
            raise click.ClickException(
                f"{line.lineage} is still wanted: first take it out of DOMAINS, or stop who asks for it."
            )


def _ask(settings: Settings, orders: list[Order], wait: int) -> None:
    """Have the running loop do it, and tell what comes of it; exits with 1 unless that is what was asked for."""
    control = Control(settings.control_folder)
    try:
        Heartbeat(settings.heartbeat).check()
        before = {order: control.last_answer(order) for order in orders}
        for order in orders:
            control.ask(order)
    except OperationalError as error:
        raise click.ClickException(str(error)) from None
    if not wait:
        what = ", ".join(order.name or "all" for order in orders)
        click.echo(f"Asked to {orders[0].verb} {what}; the log says what comes of it.")
        return
    end = time.monotonic() + wait
    for order in orders:
        answer = _await(partial(control.last_answer, order), before[order], end)
        if answer is None:
            raise click.ClickException(f"Nothing came of it within {wait} s; the log says what will.")
        if not answer.is_well:
            raise click.ClickException(answer.text)
        click.echo(answer.text)


def _await(
    look: Callable[[], tuple[int, Answer] | None], earlier: tuple[int, Answer] | None, end: float
) -> Answer | None:
    """The answer that *look* finds in place of the *earlier* one; None if there is none until *end*."""
    while time.monotonic() < end:
        found = look()
        if found is not None and (earlier is None or found[0] != earlier[0]):
            return found[1]
        time.sleep(_LOOK)
    return None
