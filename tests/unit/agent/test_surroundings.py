"""proxy_agent.surroundings: what lies beside HAProxy is read anew at each look."""

import socket
from pathlib import Path

import pytest

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.surroundings import Surroundings
from tests.certificate_authority import CertificateAuthority


def beside(folder: Path, client_ca: Path | bytes | None = None) -> Surroundings:
    """The edge, with IPv4 alone."""
    return Surroundings(folder, folder / "htpasswd", client_ca, with_ipv6=False)


def test_a_page_of_its_own_comes_before_the_one_for_all(tmp_path: Path) -> None:
    """50x.html is for four statuses, and other files are none of our business."""
    (tmp_path / "50x.html").write_text("any")
    (tmp_path / "503.html").write_text("own")
    (tmp_path / "200.html").write_text("not HAProxy's to say")
    (tmp_path / "readme.txt").write_text("no page")
    inserts, skipped = beside(tmp_path).inserts()
    assert inserts.pages == {500: b"any", 502: b"any", 503: b"own", 504: b"any"}
    assert skipped == ()


def test_a_page_that_cannot_be_used_costs_itself(tmp_path: Path) -> None:
    """HAProxy's own takes its place, and the reason is told."""
    (tmp_path / "404.html").write_bytes(b"x" * 30_001)
    (tmp_path / "500.html").write_bytes(b"")
    (tmp_path / "503.html").mkdir()
    (tmp_path / "502.html").write_text("fine")
    inserts, skipped = beside(tmp_path).inserts()
    assert inserts.pages == {502: b"fine"}
    assert [(Path(item.what).name, item.reason.partition(";")[0]) for item in skipped] == [
        ("404.html", "larger than 30000 bytes"),
        ("500.html", "empty"),
        ("503.html", "cannot be read: Is a directory"),
    ]


def test_without_a_folder_there_are_no_pages(tmp_path: Path) -> None:
    """Most installations have none."""
    assert beside(tmp_path / "missing").inserts()[0].pages == {}


def test_of_the_clients_ca_only_certificates_are_taken(tmp_path: Path) -> None:
    """A key beside them stays where it is."""
    issued = CertificateAuthority().issue("ca.test")
    file = tmp_path / "ca.pem"
    file.write_bytes(issued.bundle_pem)
    client_ca = beside(tmp_path, file).inserts()[0].client_ca
    assert client_ca.count(b"BEGIN CERTIFICATE") == 2
    assert b"PRIVATE" not in client_ca


def test_a_ca_that_turned_bad_lets_nobody_else_in(tmp_path: Path) -> None:
    """What was read before stays; where nothing ever was, nobody gets in rather than everybody."""
    file = tmp_path / "ca.pem"
    file.write_bytes(CertificateAuthority().root_pem)
    edge = beside(tmp_path, file)
    good = edge.inserts()[0].client_ca
    file.write_text("garbage")
    inserts, (told,) = edge.inserts()
    assert inserts.client_ca == good
    assert "those that it held before are used" in told.reason
    with pytest.raises(OperationalError, match="holds no certificates of a CA for clients"):
        beside(tmp_path, file).inserts()
    with pytest.raises(OperationalError, match="CA_CERT: holds no"):
        beside(tmp_path, b"garbage").inserts()


def test_a_port_is_taken_where_haproxy_could_not_have_it(tmp_path: Path) -> None:
    """One that is shared as HAProxy shares its own is not."""
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("0.0.0.0", 0))
        shared.listen()
        ports = {other.getsockname()[1], shared.getsockname()[1]}
        assert beside(tmp_path).taken_ports(ports) == {other.getsockname()[1]: "is taken by another program"}
