"""What certbot keeps is checked, mended or moved aside; what is sound is never touched."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from letsencrypt.certonly import Directory, Folders
from letsencrypt.checkup import LEAST_FREE, Checkup
from letsencrypt.lineages import parse_domains
from proxy_agent.daemon.errors import OperationalError
from tests.certificate_authority import Issued
from tests.unit.letsencrypt.certificates import NOW, bundle, issue, keep

[LINEAGE] = parse_domains("a.example").lineages
DIRECTORY = Directory("https://ca.example/dir")
KINDS = ("cert", "privkey", "chain", "fullchain")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where certbot keeps things."""
    return tmp_path / "etc"


@pytest.fixture(scope="module")
def issued() -> Issued:
    """A certificate for the lineage."""
    return issue(["a.example"])


def checkup(config: Path, *names: str, free: int = LEAST_FREE) -> Checkup:
    """A checkup of *config* in which only the lineages *names* are wanted."""
    folders = Folders(config, config.parent / "work", config / "logs", config.parent / "webroot")
    return Checkup(folders, DIRECTORY, names or ("a.example",), lambda: NOW, lambda _folder: free)


def tree(config: Path) -> dict[str, bytes | Path]:
    """Every file and link of *config* with what is in it."""
    files = (path for path in config.rglob("*") if path.is_symlink() or path.is_file())
    return {
        str(path.relative_to(config)): path.readlink() if path.is_symlink() else path.read_bytes() for path in files
    }


def test_a_new_lineage_needs_nothing(config: Path) -> None:
    """Where nothing is, nothing is done."""
    assert checkup(config).before(LINEAGE) == []


def test_a_sound_lineage_is_not_touched(config: Path, issued: Issued) -> None:
    """A lineage as certbot leaves it passes, and stays byte for byte."""
    keep(config, "a.example", issue(["a.example"]))
    keep(config, "a.example", issued, version=2)
    before = tree(config)

    assert checkup(config).before(LINEAGE) == []
    assert tree(config) == before


def relink(config: Path, kind: str, version: int) -> None:
    """Lead one link to another version."""
    link = config / "live/a.example" / f"{kind}.pem"
    link.unlink(missing_ok=True)
    link.symlink_to(f"../../archive/a.example/{kind}{version}.pem")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["missing", "old", "dangling", "a file"])
def test_a_link_that_leads_astray_is_mended(config: Path, issued: Issued, kind: str, state: str) -> None:
    """Whatever a single link has become, all four lead to the newest whole version again, and that is said."""
    keep(config, "a.example", issue(["a.example"]))
    keep(config, "a.example", issued, version=2)
    sound = tree(config)
    link = config / "live/a.example" / f"{kind}.pem"
    if state == "old":
        relink(config, kind, 1)
    elif state == "dangling":
        relink(config, kind, 9)
    else:
        link.unlink()
        if state == "a file":
            link.write_text("x")

    [sentence] = checkup(config).before(LINEAGE)

    assert sentence.startswith("The lineage a.example was mended: the links in ")
    assert tree(config) == sound
    assert checkup(config).before(LINEAGE) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA"])
def test_a_broken_newest_version_gives_way_to_the_last_whole_one(
    config: Path, issued: Issued, kind: str, content: bytes | None
) -> None:
    """A version that is not whole is moved aside, and the lineage goes on with the one before it."""
    keep(config, "a.example", issued)
    sound = tree(config)
    keep(config, "a.example", issue(["a.example"]), version=2)
    broken = config / "archive/a.example" / f"{kind}2.pem"
    broken.unlink()
    if content is not None:
        broken.write_bytes(content)

    [sentence] = checkup(config).before(LINEAGE)

    assert "was mended" in sentence
    assert {name: text for name, text in tree(config).items() if not name.startswith("quarantine/")} == sound


def empty_conf(config: Path) -> None:
    """As a kill during the first save leaves it."""
    (config / "renewal/a.example.conf").write_text("")


def conf_without_end(config: Path) -> None:
    """As a full disk leaves it."""
    (config / "renewal/a.example.conf").write_text("archive_dir = /x\n[renewalparams")


def conf_of_another_place(config: Path) -> None:
    """As in a volume that was mounted elsewhere before."""
    conf = config / "renewal/a.example.conf"
    conf.write_text(conf.read_text().replace(str(config), "/elsewhere"))


def conf_in_another_encoding(config: Path) -> None:
    """As a bad block leaves it."""
    (config / "renewal/a.example.conf").write_bytes(b"\xff\xfe\x00")


def no_conf(config: Path) -> None:
    """As somebody who tidied up leaves it."""
    (config / "renewal/a.example.conf").unlink()


def live_is_a_file(config: Path) -> None:
    """As nobody can explain."""
    shutil.rmtree(config / "live/a.example")
    (config / "live/a.example").write_text("")


def foreign_key(config: Path) -> None:
    """As a restored backup of half the files leaves it."""
    (config / "archive/a.example/privkey1.pem").write_bytes(issue(["a.example"]).private_key_pem)


@pytest.mark.parametrize(
    "damage",
    [
        empty_conf,
        conf_without_end,
        conf_of_another_place,
        conf_in_another_encoding,
        no_conf,
        live_is_a_file,
        foreign_key,
    ],
    ids=lambda damage: damage.__name__,
)
def test_what_cannot_be_mended_is_moved_out_of_sight(
    config: Path, issued: Issued, damage: Callable[[Path], None]
) -> None:
    """Then certbot finds nothing of such a lineage, so it will make it anew under its own name; no file is lost."""
    keep(config, "a.example", issued)
    damage(config)
    before = tree(config)

    [sentence] = checkup(config).before(LINEAGE)

    [place] = (config / "quarantine").iterdir()
    assert sentence.startswith(f"The lineage a.example was damaged and moved to {place}: ")
    assert tree(place) == before
    assert [path.name for path in config.iterdir() if any(path.iterdir())] == ["quarantine"]


CONFS = st.binary() | st.lists(
    st.sampled_from(
        ["archive_dir = /x", "cert = %(x)s", "[renewalparams]", "[[x]]", "renewalparams = 1", "server = ,", "'"]
    )
).map(lambda lines: "\n".join(lines).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONFS)
def test_no_renewal_file_is_too_broken(config: Path, content: bytes) -> None:
    """Whatever the file holds, the lineage is moved aside and nothing else happens."""
    conf = config / "renewal/a.example.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_bytes(content)

    assert len(checkup(config).before(LINEAGE)) == 1
    assert not conf.exists()


def test_duplicates_that_certbot_made_are_moved_aside(config: Path, issued: Issued) -> None:
    """A stray NAME-0001 goes, a lineage that is wanted under such a name stays, and the sound one is not touched."""
    keep(config, "a.example", issued)
    keep(config, "a.example-0002", issued)
    keep(config, "a.example-00010", issued)
    before = tree(config)
    keep(config, "a.example-0001", issued)

    [sentence] = checkup(config, "a.example", "a.example-0002").before(LINEAGE)

    assert sentence.startswith("The lineage a.example-0001 is a second one for the names of a.example: moved to ")
    assert {name: text for name, text in tree(config).items() if not name.startswith("quarantine/")} == before


def test_a_lineage_of_another_server_is_put_where_nothing_is_served_from(config: Path, issued: Issued) -> None:
    """Staging's certificate in production's place is sound but foreign, so it is kept apart from the damaged ones."""
    keep(config, "a.example", issued, server="https://staging.example/dir")

    [sentence] = checkup(config).before(LINEAGE)

    assert sentence.startswith("The lineage a.example came from another ACME server than ca.example: moved to ")
    assert not (config / "quarantine").exists()
    assert len(list(config.glob("other-directories/*/live/a.example/privkey.pem"))) == 1


def test_a_certificate_for_exactly_the_wanted_names_passes(config: Path, issued: Issued) -> None:
    """What a run should leave behind is what is then held."""
    keep(config, "a.example", issued)
    assert checkup(config).after(LINEAGE) == bundle("a.example", issued)


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [
        (["b.example"], 60, "does not cover a.example"),
        (["a.example", "b.example"], 60, "also covers b.example"),
        (["a.example"], -1, "expired"),
    ],
)
def test_any_other_certificate_is_told(config: Path, names: list[str], days: int, reason: str) -> None:
    """However content certbot is: what is not the wanted certificate is said not to be."""
    keep(config, "a.example", issue(names, NOW + timedelta(days=days)))
    with pytest.raises(ValueError, match=reason):
        checkup(config).after(LINEAGE)


def test_a_run_that_left_nothing_or_a_duplicate_is_told(config: Path, issued: Issued) -> None:
    """A lineage that is missing after the run, or one beside it, is the failure that the checkup is there for."""
    with pytest.raises(ValueError, match=r"privkey\.pem cannot be read"):
        checkup(config).after(LINEAGE)
    keep(config, "a.example", issued)
    keep(config, "a.example-0001", issued)
    with pytest.raises(ValueError, match=r"a second lineage a\.example-0001"):
        checkup(config).after(LINEAGE)


def test_without_space_there_is_no_run(config: Path) -> None:
    """A full volume loses each certificate after it was issued, so nothing is ordered on one."""
    with pytest.raises(OperationalError, match=f"Less than 1024 KiB are free in {config}"):
        checkup(config, free=LEAST_FREE - 1).ready()


def test_a_volume_that_cannot_be_used_is_said(config: Path) -> None:
    """A path that is no folder is named with the reason."""
    config.write_text("")
    with pytest.raises(OperationalError, match=rf"Cannot use {config}.*: (?:File exists|Not a directory)"):
        checkup(config).ready()


def account(config: Path, **files: str) -> Path:
    """An account at the directory, with *files* in place of sound ones."""
    folder = config / "accounts/ca.example/dir/0123"
    folder.mkdir(parents=True)
    for name in ("private_key", "regr", "meta"):
        (folder / f"{name}.json").write_text(files.get(name, "{}"))
    return folder


def test_a_sound_account_stays(config: Path) -> None:
    """Nothing is said of an account that can be read."""
    folder = account(config)
    assert checkup(config).ready() == []
    assert folder.is_dir()


@pytest.mark.parametrize("file", ["private_key", "regr", "meta"])
def test_an_account_that_cannot_be_read_is_moved_aside(config: Path, file: str) -> None:
    """An account that a crash left half written would fail for ever; without it, certbot registers a new one."""
    folder = account(config, **{file: ""})

    [sentence] = checkup(config).ready()

    assert sentence.startswith("The ACME account 0123 could not be read and was moved to ")
    assert not folder.exists()
    assert len(list(config.glob("quarantine/*/accounts/ca.example/dir/0123"))) == 1
