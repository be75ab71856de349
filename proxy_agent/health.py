"""The health check of the HAProxy container: traffic is answered, and the agent keeps up."""

import http.client
from datetime import datetime

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.listener import PROXY_UNKNOWN, Listener
from proxy_agent.settings import Settings
from proxy_agent.status import read_status

_TIMEOUT = 5.0


def check_health(settings: Settings, now: datetime) -> str:
    """Say that all is well; raises OperationalError with what is not."""
    _check_plain_listener(settings.http_port, settings.enable_proxy_protocol)
    Listener(settings.https_port, settings.enable_proxy_protocol).check()
    status = read_status(settings.status_file)
    if now > status.stale_after:
        raise OperationalError(
            f"The agent has not looked at anything since {status.cycle_at:%Y-%m-%d %H:%M:%S} UTC: it hangs or is gone."
        )
    if not status.haproxy_running:
        raise OperationalError("HAProxy does not answer on its runtime socket.")
    return f"HAProxy answers on ports {settings.http_port} and {settings.https_port}, and the agent keeps up."


def _check_plain_listener(port: int, proxy_protocol: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.connect()
        connection.sock.sendall(PROXY_UNKNOWN if proxy_protocol else b"")
        connection.request("GET", "/", headers={"Host": "companion-check"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise OperationalError(f"The listener on port {port} does not answer: {error!r}.") from error
    finally:
        connection.close()
