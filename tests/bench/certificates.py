"""What many certificates cost: until all are served, while services come in between; a look at nothing new; memory.

Run with ``make bench``. The real HAProxy and the real agent with everything but Docker, whose answer is made up.
"""

import os
import time
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificate_authority import CertificateAuthority
from tests.haproxy.proxy import Proxy, proxy_in_a_folder, service

SIZES = (100, 1000, 10_000)
_PORT_OF_NOBODY = 9

Row = dict[str, float]


@click.command()
@click.option("--sizes", default=",".join(map(str, SIZES)), show_default=True, help="Numbers of certificates.")
def main(sizes: str) -> None:
    """Print what so many new certificates cost."""
    rows = {size: _measured(size) for size in map(int, sizes.split(","))}
    click.echo(f"{'':44}" + "".join(f"{f'{size:,} certificates':>22}" for size in rows))
    for step in rows[min(rows)]:
        click.echo(f"{step:44}" + "".join(f"{row[step]:>22.2f}" for row in rows.values()))


def _measured(size: int) -> Row:
    with proxy_in_a_folder(CertificateAuthority()) as proxy:
        proxy.boot()
        empty = _megabytes(proxy.worker)
        serials = _publish(proxy, size)
        begun, served, proved = time.monotonic(), 0.0, 0.0
        looks: list[float] = []
        while not proved:
            proxy.serve(service("shop", f"s{len(looks)}.test", _PORT_OF_NOBODY))
            at = time.monotonic()
            status = proxy.agent.cycle()
            looks.append(time.monotonic() - at)
            if not served and proxy.serial(f"m{size - 1}.test") == serials[-1]:
                served = time.monotonic() - begun
            if sum(bool(certificate.served) for certificate in status.certificates) == size + 1:
                proved = time.monotonic() - begun
        proxy.agent.cycle()
        return {
            "seconds until the last is served": served,
            "seconds until a handshake has proved each": proved,
            "longest look on the way (seconds)": max(looks),
            "a look at nothing new (CPU seconds)": _cpu_of_a_look(proxy),
            "HAProxy's worker (MB more)": _megabytes(proxy.worker) - empty,
            "the agent (MB)": _megabytes(os.getpid()),
        }


def _publish(proxy: Proxy, size: int) -> list[int]:
    """So many bundles with one key, and their serial numbers."""
    key = ec.generate_private_key(ec.SECP256R1())
    serials = []
    for number in range(size):
        issued = proxy.authority.issue(f"m{number}.test", private_key=key)
        (proxy.settings.issued_folder / f"m{number}.pem").write_bytes(issued.bundle_pem)
        serials.append(issued.serial)
    return serials


def _cpu_of_a_look(proxy: Proxy) -> float:
    begun = time.process_time()
    proxy.agent.cycle()
    return time.process_time() - begun


def _megabytes(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
