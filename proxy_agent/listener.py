"""The edge to the TLS listener as a client sees it: which certificate a real handshake shows."""

import contextlib
import socket
import ssl

from cryptography import x509

from proxy_agent.daemon.errors import OperationalError

_TIMEOUT = 5.0

PROXY_UNKNOWN = b"PROXY UNKNOWN\r\n"
"""The PROXY protocol's word for a connection of one's own (section 2.1): its addresses are taken as they are."""


class Listener:
    """HAProxy's TLS port on this host's loopback interface."""

    def __init__(self, port: int, proxy_protocol: bool = False) -> None:
        self._port = port
        self._preamble = PROXY_UNKNOWN if proxy_protocol else b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The question is which certificate is shown, not whether this container trusts it.
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def serial(self, server_name: str | None) -> int:
        """The serial number of the certificate shown for *server_name*, a wildcard standing for a name below it.

        None asks without a name, as a client does that connects to an address. Raises OperationalError.
        """
        name = server_name.replace("*", "companion-check", 1) if server_name else None
        try:
            shown = self._certificate(name)
        except OSError as error:
            raise self._silence(name, error) from error
        return x509.load_der_x509_certificate(shown).serial_number

    def check(self) -> None:
        """Raise OperationalError unless TLS is spoken; having no certificate for strangers is an answer too."""
        try:
            self._certificate(None)
        except OSError as error:
            if getattr(error, "reason", "") != "TLSV1_UNRECOGNIZED_NAME":
                raise self._silence(None, error) from error

    def _certificate(self, name: str | None) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT) as connection:
            connection.sendall(self._preamble)
            with self._context.wrap_socket(connection, server_hostname=name) as tls:
                shown = tls.getpeercert(binary_form=True)
                # A client that just hangs up makes HAProxy log a broken pipe; what it answers does not matter.
                with contextlib.suppress(OSError):
                    tls.unwrap()
        return shown or b""

    def _silence(self, name: str | None, error: OSError) -> OperationalError:
        return OperationalError(
            f"The TLS listener on port {self._port} did not complete a handshake for {name or 'no name'}: {error}."
        )
