"""What many virtual hosts cost: a request, a look at nothing new, a new host, one more container.

Run with ``make bench``. The real HAProxy and the real agent with everything but Docker, whose answer is made up: so
many hosts need no engine. Every size is measured in one run, and compared with the smallest.
"""

import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import click

from proxy_agent.routing.model import Container, Service
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.proxy import Proxy, proxy_in_a_folder, reserved_port
from tests.waiting import until

SIZES = (10, 1000, 10_000)
_HOSTS_OF_A_SERVICE = 100
_REQUESTS = 4000
_ROUNDS = 5
_ORIGIN = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend origin
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string hello
"""

Row = dict[str, float]


@click.command()
@click.option("--sizes", default=",".join(map(str, SIZES)), show_default=True, help="Numbers of virtual hosts.")
def main(sizes: str) -> None:
    """Print medians in milliseconds for each number of hosts, and how many times the smallest's they are."""
    rows: dict[int, Row] = {}
    with _origin() as port:
        for size in map(int, sizes.split(",")):
            rows[size] = _measured(size, port)
    smallest = rows[min(rows)]
    click.echo(f"{'milliseconds':44}" + "".join(f"{f'{size:,} hosts':>24}" for size in rows))
    for step in smallest:
        cells = (f"{row[step]:.2f} ({row[step] / smallest[step]:.1f}x)" for row in rows.values())
        click.echo(f"{step:44}" + "".join(f"{cell:>24}" for cell in cells))


def _measured(size: int, port: int) -> Row:
    with proxy_in_a_folder(CertificateAuthority()) as proxy:
        services = tuple(_services(size, port))
        proxy.serve(*services)
        proxy.boot()
        until(lambda: proxy.plain(_host(0)).status == 200, "the first host", within=60)
        hosts = [_host(size * step // 10) for step in range(10)]
        return {
            "a request, kept-alive connection (mean)": statistics.median(_request(proxy, host) for host in hosts),
            "a look at nothing new": _median(lambda _: proxy.look()),
            "a new host of a known service": _median(lambda n: _appear(proxy, services, f"new-{n}.test", "s-0", port)),
            "a new service, with its reload": _median(
                lambda n: _appear(proxy, services, f"s-{n}.test", f"x-{n}", port)
            ),
            "one more container of a service": _median(lambda n: _grow(proxy, services, n, port)),
        }


def _services(size: int, port: int) -> Iterator[Service]:
    for number in range(0, size, _HOSTS_OF_A_SERVICE):
        hosts = map(_host, range(number, min(number + _HOSTS_OF_A_SERVICE, size)))
        yield _service(f"s-{number // _HOSTS_OF_A_SERVICE}", ",".join(hosts), port)


def _service(name: str, hosts: str, *ports: int) -> Service:
    containers = (
        Container(f"{name}-{n}", {"VIRTUAL_HOST": hosts}, (port,), ip_address("127.0.0.1"))
        for n, port in enumerate(ports)
    )
    return Service(name, tuple(containers))


def _host(number: int) -> str:
    return f"host-{number}.example.test"


def _request(proxy: Proxy, host: str) -> float:
    """The mean over many requests on one connection, as h2load prints it."""
    url = f"http://127.0.0.1:{proxy.settings.http_port}/"
    command = ["h2load", "--h1", "-n", str(_REQUESTS), "-c", "1", "-H", f"Host: {host}", url]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert f"{_REQUESTS} 2xx" in said, said
    mean = re.search(r"^time for request:\s+\S+\s+\S+\s+([0-9.]+)(us|ms|s)", said, re.MULTILINE)
    assert mean, said
    return float(mean[1]) * {"us": 0.001, "ms": 1, "s": 1000}[mean[2]]


def _median(step: Callable[[int], object]) -> float:
    """Of some rounds, in milliseconds."""

    def once(number: int) -> float:
        begun = time.monotonic()
        step(number)
        return (time.monotonic() - begun) * 1000

    return statistics.median(once(number) for number in range(_ROUNDS))


def _appear(proxy: Proxy, services: tuple[Service, ...], host: str, service: str, port: int) -> None:
    """From the moment that Docker knows of a host until it is answered."""
    kept = tuple(known for known in services if known.name != service)
    hosts = ",".join(known.containers[0].settings["VIRTUAL_HOST"] for known in services if known.name == service)
    proxy.serve(*kept, _service(service, f"{hosts},{host}", port))
    proxy.agent.cycle()
    until(lambda: proxy.plain(host).status == 200, host, pause=0.002)


def _grow(proxy: Proxy, services: tuple[Service, ...], number: int, port: int) -> None:
    """From the moment that Docker knows of further containers until HAProxy does."""
    first = services[0].containers[0]
    worker = proxy.worker
    proxy.serve(*services[1:], _service(services[0].name, first.settings["VIRTUAL_HOST"], *[port] * (number + 2)))
    proxy.agent.cycle()
    assert number == 0 or proxy.worker == worker, "a container more is no reload"


@contextmanager
def _origin() -> Iterator[int]:
    """A web server that is faster than what is measured."""
    with reserved_port() as port, tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "origin.cfg"
        configuration.write_text(_ORIGIN.format(port=port))
        process = subprocess.Popen(["haproxy", "-W", "-db", "-f", configuration])
        try:
            yield port
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main()
