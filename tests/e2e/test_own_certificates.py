"""Certificates that the operator brings: from a folder, and from a certbot on the host."""

from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from tests.certificate_authority import CertificateAuthority
from tests.e2e.stack import WORK, Stack
from tests.waiting import until


@pytest.fixture
def folder(plain_stack: Stack) -> Iterator[Path]:
    """A folder of the host that can be mounted."""
    folder = WORK / plain_stack.project
    folder.mkdir(parents=True)
    yield folder
    rmtree(folder)


def test_own_certificates_are_served_and_replaced_when_the_file_changes(plain_stack: Stack, folder: Path) -> None:
    """By the names in it, whatever the file is called; default.pem answers for every other name."""
    authority = CertificateAuthority()
    (folder / "shop.pem").write_bytes(authority.issue("shop.test").bundle_pem)
    (folder / "default.pem").write_bytes(authority.issue("fallback.test").bundle_pem)
    plain_stack.up("haproxy", CUSTOM_CERTS=str(folder))
    root = authority.root_pem.decode()
    until(lambda: plain_stack.trusts("shop.test", root), "the certificate of the folder")
    assert plain_stack.trusts("fallback.test", root)
    first = plain_stack.certificate("shop.test").serial_number
    worker = plain_stack.worker()

    (folder / "shop.pem").write_bytes(authority.issue("shop.test").bundle_pem)
    until(lambda: plain_stack.certificate("shop.test").serial_number != first, "the new certificate")
    assert plain_stack.trusts("shop.test", root)
    assert plain_stack.worker() == worker


def test_a_certbot_on_the_host_is_read_in_place(plain_stack: Stack, folder: Path) -> None:
    """live/ holds links into archive/, so both are mounted, and nothing else of it."""
    authority = CertificateAuthority()
    issued = authority.issue("host.test")
    archive, live = folder / "archive" / "host.test", folder / "live" / "host.test"
    for kind, content in (("privkey", issued.private_key_pem), ("fullchain", issued.leaf_and_chain_pem)):
        archive.mkdir(parents=True, exist_ok=True)
        live.mkdir(parents=True, exist_ok=True)
        (archive / f"{kind}1.pem").write_bytes(content)
        (live / f"{kind}.pem").symlink_to(f"../../archive/host.test/{kind}1.pem")
    plain_stack.up("haproxy", CERTBOT_LIVE=str(folder / "live"), CERTBOT_ARCHIVE=str(folder / "archive"))
    until(lambda: plain_stack.trusts("host.test", authority.root_pem.decode()), "the host's certificate")
