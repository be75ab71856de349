"""How long a start takes: to the default certificate, to the first route, to certificates that a client trusts.

Run with ``make bench``. Each round starts everything anew on empty volumes; images are built before.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click

from tests.e2e.stack import Stack, running
from tests.waiting import until

E2E = Path(__file__).resolve().parents[1] / "e2e"
DOMAINS = "one.test, www.one.test; two.test"
NAMES = ("one.test", "www.one.test", "two.test")
LIMIT = 15.0
"""Seconds that the last step may take, as the README promises."""

Round = dict[str, float]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Starts to measure.")
def main(rounds: int) -> None:
    """Print seconds from ``docker compose up`` on: median and worst of all rounds, and the share of the limit."""
    measured = [_round() for _ in range(rounds)]
    click.echo(f"{'seconds from `docker compose up`':42} {'median':>7} {'worst':>7} {'of the limit':>13}")
    for step in measured[0]:
        values = [one[step] for one in measured]
        share = f"{max(values) / LIMIT:.0%}" if step == "trusted handshake for every name" else ""
        click.echo(f"{step:42} {statistics.median(values):7.2f} {max(values):7.2f} {share:>13}")


def _round() -> Round:
    with running(E2E / "compose.e2e.yaml") as stack:
        stack.up("production", "--wait")
        root = stack.root("production")
        begun = time.monotonic()
        stack.up("haproxy", "letsencrypt", "docker-gate", "app", DOMAINS=DOMAINS)
        https, http = stack.port(443), stack.port(80)
        steps: dict[str, Callable[[], bool]] = {
            "containers started": lambda: bool(https and http),
            "HTTPS answers (default certificate)": lambda: _answers(stack),
            "web container answers": lambda: stack.http("one.test").status in (200, 301),
            "trusted handshake for every name": lambda: all(stack.trusts(name, root) for name in NAMES),
        }
        return {step: _until(done, step) - begun for step, done in steps.items()}


def _answers(stack: Stack) -> bool:
    return stack.https("unknown.test").status != 0


def _until(done: Callable[[], bool], step: str) -> float:
    until(done, step, within=120)
    return time.monotonic()


if __name__ == "__main__":
    main()
