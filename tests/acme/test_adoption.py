"""A volume that another, older certbot filled is taken over as it is: published, and nothing ordered that is valid."""

import re
import shutil
from collections.abc import Callable

import pytest

from letsencrypt.control import Verb
from tests.acme.container import Container
from tests.acme.pebble import Authority

pytestmark = pytest.mark.acme

NAME = "old.example"

CONFS = {
    "webroot-0.31": """\
# renew_before_expiry = 30 days
version = 0.31.0
{paths}
# Options used in the renewal process
[renewalparams]
account = 5a4c0e7d2b9f4f0d8c1e6a7b3d2f1c0e
pref_challs = http-01,
rsa_key_size = 4096
authenticator = webroot
installer = None
webroot_path = /var/www/letsencrypt,
server = {server}
[[webroot_map]]
old.example = /var/www/letsencrypt
""",
    "nginx-1.12": """\
version = 1.12.0
{paths}
[renewalparams]
account = 5a4c0e7d2b9f4f0d8c1e6a7b3d2f1c0e
authenticator = nginx
installer = nginx
server = {server}
manual_public_ip_logging_ok = None
""",
    "standalone-2.1": """\
version = 2.1.0
{paths}
[renewalparams]
account = 5a4c0e7d2b9f4f0d8c1e6a7b3d2f1c0e
authenticator = standalone
server = {server}
key_type = ecdsa
pre_hook = systemctl stop nginx
post_hook = systemctl start nginx
""",
    "without-archive-0.8": """\
version = 0.8.1
{links}
[renewalparams]
no_self_upgrade = False
apache_vhost_root = /etc/apache2/sites-available
authenticator = apache
installer = apache
server = {server}
tls_sni_01_port = 443
""",
}


class Volume:
    """What a certbot left, made of what ours did."""

    def __init__(self, container: Container, authority: Authority) -> None:
        self.container, self.authority = container, authority
        self.config = container.config(authority)

    def fill(self, *options: str) -> None:
        """A lineage with an account; as if nobody of ours had ever been there."""
        self.container.cycle(NAME, self.authority, *options)
        self.forget_us()

    def forget_us(self) -> None:
        """Our state and what we published."""
        shutil.rmtree(self.container.letsencrypt / "state")
        for bundle in self.container.certs.iterdir():
            bundle.unlink()

    def write_conf(self, text: str, name: str = NAME) -> None:
        """The renewal file as another version writes it."""
        live = self.config / "live" / name
        links = "\n".join(f"{kind} = {live}/{kind}.pem" for kind in ("cert", "privkey", "chain", "fullchain"))
        paths = f"archive_dir = {self.config}/archive/{name}\n{links}"
        conf = text.format(paths=paths, links=links, server=self.authority.directory)
        (self.config / "renewal" / f"{name}.conf").write_text(conf)

    def rename(self, old: str, new: str) -> None:
        """Call a lineage otherwise, in all that certbot keeps of it."""
        for kind in ("live", "archive"):
            (self.config / kind / old).rename(self.config / kind / new)
        for link in (self.config / "live" / new).glob("*.pem"):
            target = str(link.readlink()).replace(f"/{old}/", f"/{new}/")
            link.unlink()
            link.symlink_to(target)
        conf = self.config / "renewal" / f"{old}.conf"
        text = re.sub(rf"/{re.escape(old)}(?=/|$)", f"/{new}", conf.read_text(), flags=re.MULTILINE)
        (self.config / "renewal" / f"{new}.conf").write_text(text)
        conf.unlink()

    def renew(self, *options: str) -> None:
        """As the CA advises, and the operator wants it at once."""
        self.authority.advise_renewal_now(self.container.published(NAME).pem)
        self.container.ask(Verb.RETRY, NAME)
        self.container.cycle(NAME, self.authority, *options)

    def serial(self, name: str) -> bytes:
        """Of what certbot holds under *name*: the leaf itself."""
        return (self.config / "live" / name / "cert.pem").read_bytes()


@pytest.fixture
def volume(container: Container, authority: Authority) -> Volume:
    """An empty one."""
    return Volume(container, authority)


def takes_over(volume: Volume, leaf: bytes) -> None:
    """Assert that the next start publishes *leaf*, orders nothing, and leaves one lineage."""
    orders = volume.authority.orders()
    volume.container.cycle(NAME, volume.authority)
    assert leaf.strip() in volume.container.published(NAME).pem
    assert volume.authority.orders() == orders
    assert volume.container.lineages(volume.authority) == {NAME}
    assert volume.container.cycle(NAME, volume.authority).sentences == ()


@pytest.mark.parametrize("style", CONFS)
def test_renewal_files_of_old_versions(volume: Volume, style: str) -> None:
    """Whatever plugin they name, and whatever lines they lack; when the CA advises it, it is renewed by our ways."""
    volume.fill()
    volume.write_conf(CONFS[style])
    takes_over(volume, volume.serial(NAME))
    first = volume.container.published(NAME)
    volume.renew()
    assert volume.container.published(NAME).serial != first.serial
    assert volume.container.lineages(volume.authority) == {NAME}


def test_an_rsa_key_and_several_versions(volume: Volume) -> None:
    """The newest of the versions in the archive is published, and a key of another type is no reason to order."""
    volume.fill("--key-type", "rsa")
    volume.container.cycle(NAME, volume.authority, "--key-type", "rsa")
    volume.renew("--key-type", "rsa")
    assert (volume.config / "archive" / NAME / "cert2.pem").exists()
    volume.forget_us()
    volume.write_conf(CONFS["webroot-0.31"])
    takes_over(volume, volume.serial(NAME))


def test_an_account_that_moved_from_an_older_server(volume: Volume) -> None:
    """Where certbot led the folder of a server's accounts to that of the one before, no account is registered anew."""
    volume.fill()
    [key] = (volume.config / "accounts").rglob("private_key.json")
    folder = key.parent.parent
    elsewhere = volume.config / "accounts" / "acme-v01.example" / "directory"
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    takes_over(volume, volume.serial(NAME))
    volume.container.cycle("another.example", volume.authority)
    volume.authority.verify(volume.container.published("another.example").pem, "another.example")
    assert len(list((volume.config / "accounts").rglob("private_key.json"))) == 1


def only(volume: Volume) -> None:
    """The second lineage is the only one."""
    volume.rename(NAME, f"{NAME}-0001")


def beside_a_broken(volume: Volume) -> None:
    """Of the first one there is no more than an empty renewal file."""
    volume.rename(NAME, f"{NAME}-0001")
    (volume.config / "renewal" / f"{NAME}.conf").touch()


@pytest.mark.parametrize("layout", [only, beside_a_broken], ids=lambda each: each.__name__)
def test_a_second_lineage_that_is_the_real_one(volume: Volume, layout: Callable[[Volume], None]) -> None:
    """A certificate that certbot had put under NAME-0001 goes on as NAME: nothing is ordered for it."""
    volume.fill()
    layout(volume)
    leaf = volume.serial(f"{NAME}-0001")
    takes_over(volume, leaf)
    assert not list(volume.config.glob(f"*/{NAME}-0001*"))
    first = volume.container.published(NAME)
    volume.renew()
    assert volume.container.published(NAME).serial != first.serial
