"""Orders that say which certificate they replace (RFC 9773 section 5), which certbot's do not.

Let's Encrypt exempts such renewals from its rate limits (https://letsencrypt.org/docs/rate-limits/). Nothing here is
undone: it is for a process that runs certbot once.
"""

import base64
import functools
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from acme import errors, messages
from acme.client import ClientV2
from cryptography import x509
from josepy.json_util import field

_DOUBTS = frozenset({"alreadyReplaced", "malformed", "unauthorized", "conflict", "serverInternal"})
"""What a CA may say of a predecessor: that it has another successor, is unknown, or came from another account.

Pebble sometimes does not find it, and calls that an error of its own.
As an order may be refused so for other reasons, it is placed once more without the predecessor to find out.
"""


class ReplacingOrder(messages.NewOrder):
    """An order with a predecessor."""

    replaces: str = field("replaces", omitempty=True)


def certificate_id(pem: bytes) -> str:
    """What a CA knows the leaf of *pem* by (RFC 9773 section 4.1); raises ValueError if it has no such name."""
    leaf = x509.load_pem_x509_certificate(pem)
    try:
        authority = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        authority = None
    if authority is None:
        raise ValueError("the certificate does not name its issuer's key")
    # One more bit than the number has: its DER encoding is signed.
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return f"{_encoded(authority)}.{_encoded(serial)}"


def replace_held(arguments: Sequence[str]) -> None:
    """Have orders of this process name the certificate that certbot holds of the lineage in *arguments*, if any.

    Only where the directory tells when to renew: others know nothing of predecessors.
    """
    named = dict(pairwise(arguments))
    leaf = Path(named.get("--config-dir", ""), "live", named.get("--cert-name", ""), "cert.pem")
    try:
        predecessor = certificate_id(leaf.read_bytes())
    except (OSError, ValueError):
        return
    new_order = ClientV2.new_order

    @functools.wraps(new_order)
    def order(self: ClientV2, csr_pem: bytes, profile: str | None = None) -> messages.OrderResource:
        if not _advises(self):
            return new_order(self, csr_pem, profile)
        plain = messages.NewOrder
        messages.NewOrder = functools.partial(ReplacingOrder, replaces=predecessor)  # type: ignore[misc,assignment]
        try:
            return new_order(self, csr_pem, profile)
        except errors.ConflictError:
            pass
        except messages.Error as error:
            if str(error.typ).rpartition(":")[2] not in _DOUBTS:
                raise
        finally:
            messages.NewOrder = plain  # type: ignore[misc]
        return new_order(self, csr_pem, profile)

    ClientV2.new_order = order  # type: ignore[method-assign]


def _advises(client: ClientV2) -> bool:
    try:
        return bool(client.directory["renewalInfo"])
    except KeyError:
        return False


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")
