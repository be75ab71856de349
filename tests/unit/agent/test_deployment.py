"""proxy_agent.deployment, on a real folder."""

from pathlib import Path

import pytest

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.deployment import Deployment
from tests.unit.agent.fakes import service

FILES = {"haproxy.cfg": b"global\n", "crt.list": b"", "maps/tls.map": b"a.test shop\n"}


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """An empty state folder."""
    (tmp_path / "state").mkdir()
    return Deployment(tmp_path / "state")


def generations(tmp_path: Path) -> list[str]:
    """The configurations that are kept."""
    return sorted(path.name for path in (tmp_path / "state" / "generations").iterdir())


def test_nothing_was_deployed_yet(deployment: Deployment) -> None:
    """No files, no certificates, no memory."""
    assert (deployment.files(), deployment.certificates(), deployment.remembered()) == ({}, {}, ())


def test_what_is_staged_is_not_current(deployment: Deployment, tmp_path: Path) -> None:
    """HAProxy checks it where it stands, while the other one runs."""
    staged = deployment.stage(FILES, "id")
    assert deployment.files() == {}
    assert (staged / "maps" / "tls.map").read_bytes() == b"a.test shop\n"
    assert generations(tmp_path) == ["id.0"]


def test_a_commit_makes_it_current_in_one_step(deployment: Deployment) -> None:
    """And returns the one before, whole, to go back to."""
    first = deployment.stage(FILES, "one")
    assert deployment.commit(first) is None
    second = deployment.stage({**FILES, "haproxy.cfg": b"defaults\n"}, "two")
    before = deployment.commit(second)
    assert before == first
    assert deployment.files()["haproxy.cfg"] == b"defaults\n"
    deployment.commit(before)
    assert deployment.files() == FILES
    assert deployment.configuration.read_bytes() == b"global\n"


def test_the_same_configuration_can_be_staged_while_it_is_current(deployment: Deployment, tmp_path: Path) -> None:
    """Its lists and maps may differ: each attempt has a folder of its own."""
    deployment.commit(deployment.stage(FILES, "id"))
    deployment.stage(FILES, "id")
    assert generations(tmp_path) == ["id.0", "id.1"]


def test_all_but_the_current_one_are_pruned(deployment: Deployment, tmp_path: Path) -> None:
    """Also what crashes left behind."""
    deployment.stage(FILES, "abandoned")
    deployment.commit(deployment.stage(FILES, "old"))
    deployment.commit(deployment.stage(FILES, "new"))
    deployment.prune()
    assert generations(tmp_path) == ["new.0"]
    assert deployment.files() == FILES


def test_a_state_folder_behind_a_link_is_as_good(deployment: Deployment, tmp_path: Path) -> None:
    """The current configuration is not taken for another one because its path is spelled otherwise."""
    (tmp_path / "link").symlink_to("state")
    linked = Deployment(tmp_path / "link")
    before = linked.stage(FILES, "one")
    linked.commit(before)
    linked.prune()
    assert deployment.files() == FILES
    previous = linked.commit(linked.stage({**FILES, "haproxy.cfg": b"defaults\n"}, "two"))
    assert previous
    linked.commit(previous)
    assert linked.files() == FILES


def test_files_that_are_not_whole_are_not_seen(deployment: Deployment) -> None:
    """A crash in the middle of a write leaves a temporary file, which is no part of the configuration."""
    staged = deployment.stage(FILES, "id")
    deployment.commit(staged)
    (staged / ".tmp-crt.list").write_bytes(b"half")
    assert deployment.files() == FILES


def test_one_file_is_replaced_in_the_current_configuration(deployment: Deployment) -> None:
    """What the runtime API changed is there after a restart."""
    deployment.commit(deployment.stage(FILES, "id"))
    deployment.write("maps/tls.map", b"b.test shop\n")
    assert deployment.files() == {**FILES, "maps/tls.map": b"b.test shop\n"}


def test_certificates_are_kept_by_source_and_name(deployment: Deployment) -> None:
    """A name with dots, or of the default, is found again by its path."""
    names = ["issued/a.test", "custom/*.b.test", "default"]
    paths = [*map(deployment.certificate_path, names[:2]), str(deployment.default_certificate)]
    for path in paths:
        deployment.store_certificates({path: b"pem"})
    assert deployment.certificates() == dict.fromkeys(paths, b"pem")
    assert [deployment.certificate_name(path) for path in paths] == names


def test_certificates_are_for_their_owner_alone(deployment: Deployment) -> None:
    """They hold keys."""
    path = deployment.certificate_path("issued/a")
    deployment.store_certificates({path: b"pem"})
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_a_certificate_is_read_again_when_it_changed(deployment: Deployment) -> None:
    """Be it by another hand; and when it did not, the very same bytes are given again."""
    paths = [deployment.certificate_path(name) for name in ("issued/a", "issued/b")]
    deployment.store_certificates(dict.fromkeys(paths, b"old"))
    before = deployment.certificates()
    Path(paths[0]).write_bytes(b"new")
    after = deployment.certificates()
    assert after == {paths[0]: b"new", paths[1]: b"old"}
    assert after[paths[1]] is before[paths[1]]


def test_a_certificate_is_removed_once(deployment: Deployment) -> None:
    """Removing it again is no error."""
    path = deployment.certificate_path("issued/a")
    deployment.store_certificates({path: b"pem"})
    deployment.remove_certificate(path)
    deployment.remove_certificate(path)
    assert deployment.certificates() == {}


def test_services_are_remembered_as_they_were(deployment: Deployment) -> None:
    """Addresses of both families, and settings, over a restart."""
    services = (service("shop", "a.test", "10.0.0.1", "2001:db8::1"), service("blog", "b.test"))
    deployment.remember(services)
    assert deployment.remembered() == services


def test_what_is_remembered_already_is_not_written_again(deployment: Deployment, tmp_path: Path) -> None:
    """A quiet host does not wear out its disk."""
    deployment.remember((service("shop", "a.test"),))
    written = (tmp_path / "state" / "services.json").stat()
    deployment.remember((service("shop", "a.test"),))
    assert (tmp_path / "state" / "services.json").stat() == written


@pytest.mark.parametrize("content", [b"", b"garbage", b'[{"name": "shop"}]', b'{"version": 1}'])
def test_a_memory_that_cannot_be_read_is_none(deployment: Deployment, tmp_path: Path, content: bytes) -> None:
    """It was damaged, or an older version wrote it: Docker will be asked."""
    (tmp_path / "state" / "services.json").write_bytes(content)
    assert deployment.remembered() == ()


def test_there_is_one_writer(deployment: Deployment, tmp_path: Path) -> None:
    """A second agent on the same folder is refused; when the first is gone, it is not."""
    deployment.lock()
    with pytest.raises(OperationalError, match="Another agent already works in"):
        Deployment(tmp_path / "state").lock()


def test_a_folder_that_cannot_be_used_is_an_operational_error(tmp_path: Path) -> None:
    """Every way to write says which file and why."""
    (tmp_path / "state").write_bytes(b"a file in its place")
    deployment = Deployment(tmp_path / "state")
    for attempt in (
        deployment.lock,
        lambda: deployment.stage(FILES, "id"),
        lambda: deployment.store_certificates({deployment.certificate_path("issued/a"): b"pem"}),
        lambda: deployment.remove_certificate(deployment.certificate_path("issued/a")),
    ):
        with pytest.raises(OperationalError, match=rf"Cannot .* {tmp_path}/state.*: Not a directory\."):
            attempt()


def test_a_stage_that_fails_leaves_nothing(deployment: Deployment, tmp_path: Path) -> None:
    """Half a configuration is none."""
    with pytest.raises(OperationalError, match="Cannot write"):
        deployment.stage({"haproxy.cfg": b"global\n", "x" * 300: b""}, "id")
    assert generations(tmp_path) == []


# Whatever somebody did to the folder


@pytest.mark.parametrize("place", ["certificates/issued/a.pem", "default.pem", "services.json", "current/crt.list"])
def test_a_folder_in_the_place_of_a_file_is_in_nobodys_way(deployment: Deployment, tmp_path: Path, place: str) -> None:
    """It is not read, and it goes when the file is written: all of the state folder is ours."""
    deployment.commit(deployment.stage(FILES, "id"))
    path = tmp_path / "state" / place
    path.unlink(missing_ok=True)
    (path / "inside").mkdir(parents=True)
    assert deployment.files() == {name: content for name, content in FILES.items() if not place.endswith(name)}
    assert (deployment.certificates(), deployment.remembered()) == ({}, ())
    deployment.store_certificates({deployment.certificate_path("issued/a"): b"pem"})
    deployment.store_certificates({str(deployment.default_certificate): b"pem"})
    deployment.remember((service("shop", "a.test"),))
    deployment.write("crt.list", b"")
    assert deployment.files() == FILES
    assert len(deployment.certificates()) == 2
    assert deployment.remembered() == (service("shop", "a.test"),)


@pytest.mark.parametrize("place", ["certificates", "certificates/issued", "generations"])
def test_a_file_in_the_place_of_a_folder_is_in_nobodys_way(deployment: Deployment, tmp_path: Path, place: str) -> None:
    """The same the other way round."""
    path = tmp_path / "state" / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("in the way")
    assert (deployment.files(), deployment.certificates()) == ({}, {})
    deployment.store_certificates({deployment.certificate_path("issued/a"): b"pem"})
    deployment.commit(deployment.stage(FILES, "id"))
    assert deployment.files() == FILES
    assert list(deployment.certificates().values()) == [b"pem"]


def test_a_current_configuration_that_is_a_folder_is_replaced(deployment: Deployment, tmp_path: Path) -> None:
    """As in a backup that followed the link."""
    (tmp_path / "state" / "current").mkdir()
    (tmp_path / "state" / "current" / "haproxy.cfg").write_bytes(b"old")
    deployment.commit(deployment.stage(FILES, "id"))
    assert deployment.files() == FILES
    deployment.prune()
    assert deployment.files() == FILES
