"""How long many new certificates take, by CONCURRENCY: from the start of the loop to the last bundle published.

Run with ``make bench``. The real loop and the real certbot against Pebble, whose validation does not sleep; certbot
itself sleeps two seconds in each run. One certificate for each name, with keys on elliptic curves, everything as by
default, the preflight included.
"""

import logging
import os
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click

from letsencrypt.settings import load
from letsencrypt.wiring import bell, wire
from tests.acme.container import Container
from tests.acme.pebble import Authorities, Authority, make_trust, run_dns
from tests.ports import free_port
from tests.waiting import until


@click.command()
@click.option("--names", default=100, show_default=True, help="Certificates to issue.")
@click.option("--settings", default="4,16,32", show_default=True, help="Values of CONCURRENCY.")
def main(names: int, settings: str) -> None:
    """Print seconds for all, and for each, and how many accounts were made."""
    # It warns of every queue, which the container keeps to itself.
    logging.getLogger("waitress").setLevel(logging.ERROR)
    click.echo(f"{f'{names} new names':20} {'seconds':>8} {'for each':>9} {'accounts':>9} {'CPU s of loop':>14}")
    for concurrency in settings.split(","):
        with ExitStack() as stack, tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            trust = make_trust(folder)
            os.environ["REQUESTS_CA_BUNDLE"] = str(trust.root)
            port = free_port()
            dns = stack.enter_context(run_dns(folder))
            authority = Authorities(folder, trust, dns, port, stack).start()
            (folder / "container").mkdir()
            container = Container(folder / "container", port, dns.port)
            container.settings = {"CONCURRENCY": concurrency}
            seconds, busy = _issue(container, authority, names)
            accounts = len(list((container.config(authority) / "accounts").glob("*/*/*")))
            row = f"{seconds:8.1f} {seconds / names:9.3f} {accounts:9} {busy:14.1f}"
            click.echo(f"{f'CONCURRENCY={concurrency}':20} {row}")


def _issue(container: Container, authority: Authority, names: int) -> tuple[float, float]:
    """Seconds, and how many of them this process was busy."""
    domains = ";".join(f"host-{number}.example" for number in range(names))
    environ = container.environ(domains, f"--server {authority.directory}")
    wakeup = bell()
    server, loop = wire(load(environ), wakeup, lambda: datetime.now(UTC), lambda: 0.0)
    server.start()
    thread = threading.Thread(target=loop.run)
    begun, busy = time.monotonic(), time.process_time()
    thread.start()
    try:
        until(lambda: len(list(container.certs.glob("*.pem"))) == names, "all bundles", within=600, pause=0.02)
        return time.monotonic() - begun, time.process_time() - busy
    finally:
        wakeup.stop()
        thread.join()
        server.stop()


if __name__ == "__main__":
    main()
