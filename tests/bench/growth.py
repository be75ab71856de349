"""What ten thousand changes leave behind in memory: nothing.

``python -m tests.bench.growth`` scales services and renews certificates with the real HAProxy and the real agent, and
prints what both have in memory after each tenth; the last line says how much that grew since the first tenth. That is
memory of their own: HAProxy also shares the cache of TLS sessions among its processes, which fills with each handshake
until it has the size that it was given, 4 MB.
"""

from itertools import cycle
from pathlib import Path

import click

from proxy_agent.routing.model import Service
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import serving
from tests.haproxy.proxy import proxy_in_a_folder, service


@click.command()
@click.option("--changes", default=10_000, show_default=True)
@click.option("--reloads", default=0, show_default=True, help="How many of them bring a new service, and so a reload.")
def main(changes: int, reloads: int) -> None:
    """Print the memory of worker and agent in KiB."""
    first: tuple[int, int] | None = None
    last = (0, 0)
    with serving("shop") as shop, proxy_in_a_folder(CertificateAuthority()) as proxy:
        proxy.boot()
        numbers = cycle((1, 2, 3, 2))
        for number in range(changes):
            further: tuple[Service, ...] = ()
            if reloads and number % (changes // reloads) == 0:
                further = (service(f"new-{number}", "new.test", shop.port),)
            proxy.serve(service("shop", "a.test", *[shop.port] * next(numbers)), *further)
            proxy.publish(f"c-{number % 5}", f"{number % 7}.test")
            proxy.look()
            if (number + 1) % (changes // 10) == 0:
                last = _own(proxy.worker), _own("self")
                first = first or last
                click.echo(f"{number + 1:7,} changes: HAProxy {last[0]:8,} KiB, agent with the bench {last[1]:8,} KiB")
    assert first
    click.echo(f"growth since the first tenth: HAProxy {last[0] - first[0]:,} KiB, agent {last[1] - first[1]:,} KiB")


def _own(process: int | str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


if __name__ == "__main__":
    main()
