"""Services as tests describe them: a container on this host, and whatever it says of itself."""

from ipaddress import ip_address

from proxy_agent.routing.model import Container, Service


def service_with(name: str, port: int, **environment: str) -> Service:
    """A service of one container that listens on *port* of this host."""
    return Service(name, (Container(f"{name}-1", environment, (port,), ip_address("127.0.0.1")),))
