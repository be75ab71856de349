"""Certificates as a CA hands them over, and as certbot keeps them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from proxy_agent.tls.bundle import Bundle, parse_bundle
from tests.certificate_authority import CertificateAuthority, Issued

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""The present of all tests that need one."""


@cache
def _authority() -> CertificateAuthority:
    return CertificateAuthority(NOW)


def issue(
    names: Sequence[str], not_after: datetime = NOW + timedelta(days=60), not_before: datetime | None = None
) -> Issued:
    """A new key and a certificate for *names*."""
    return _authority().issue(*names, not_after=not_after, not_before=not_before)


def bundle(name: str, issued: Issued) -> Bundle:
    """The same as the load balancer gets it for the lineage *name*."""
    return parse_bundle(name, issued.bundle_pem)


def keep(config: Path, name: str, issued: Issued, version: int = 1, server: str = "https://ca.example/dir") -> None:
    """Lay *issued* down as certbot does: version *version* of the lineage *name*, and its links."""
    archive, live, renewal = config / "archive" / name, config / "live" / name, config / "renewal"
    for folder in (archive, live, renewal):
        folder.mkdir(parents=True, exist_ok=True)
    files = {
        "cert": issued.leaf_pem,
        "privkey": issued.private_key_pem,
        "chain": issued.chain_pem,
        "fullchain": issued.leaf_and_chain_pem,
    }
    lines = [f"archive_dir = {archive}"]
    for kind, content in files.items():
        (archive / f"{kind}{version}.pem").write_bytes(content)
        link = live / f"{kind}.pem"
        link.unlink(missing_ok=True)
        link.symlink_to(f"../../archive/{name}/{kind}{version}.pem")
        lines.append(f"{kind} = {link}")
    (renewal / f"{name}.conf").write_text("\n".join([*lines, "[renewalparams]", f"server = {server}", ""]))
