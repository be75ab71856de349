"""proxy_agent.perform: carrying out a plan, and what remains when a step fails."""

import logging
from pathlib import Path

import pytest

from proxy_agent.actions import (
    Action,
    AddCrtListLine,
    Deploy,
    ForgetCertificate,
    LoadCertificate,
    RemoveCrtListLine,
    ReplaceMap,
    StoreCertificate,
    Verify,
    WriteFile,
)
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.perform import CertificateRefused, ConfigurationRefused, Performer
from proxy_agent.routing.model import Routing
from proxy_agent.routing.render import CRT_LIST, TLS_MAP, Configuration, CrtList
from proxy_agent.runtime import CrtListLine, Verdict
from tests.unit.agent.fakes import RENDERER, SELF_SIGNED, FakeDisk, FakeHAProxy, bundle

DEFAULT = "/state/default.pem"
PATH = "/state/certificates/issued/a.pem"
OTHER_PATH = "/state/certificates/issued/b.pem"
OLD, NEW = bundle("issued/a", "a.test"), bundle("issued/a", "a.test")
OTHER = bundle("issued/b", "b.test")


def configuration(crt_list: CrtList = ()) -> Configuration:
    """A configuration without services."""
    return RENDERER.render(Routing(), crt_list, DEFAULT)


class Scene:
    """A performer between a disk and a HAProxy that runs with one certificate."""

    def __init__(self) -> None:
        self.disk = FakeDisk()
        self.haproxy = FakeHAProxy(self.disk)
        self.performer = Performer(self.disk, self.haproxy, self.haproxy, self.haproxy.check)
        self.disk.store_certificates({DEFAULT: SELF_SIGNED.pem})
        self.disk.store_certificates({PATH: OLD.pem})
        self.perform(Deploy(configuration(((PATH, ("a.test",)),))), running=False)
        self.haproxy.start()

    def perform(self, *actions: Action, running: bool = True) -> None:
        """Carry out *actions* on what is there."""
        self.performer.perform(actions, self.disk.certificates(), running)


@pytest.fixture
def scene() -> Scene:
    """One."""
    return Scene()


def test_each_action_is_one_step_on_disk_or_in_the_worker(scene: Scene) -> None:
    """And they are taken in the order of the plan."""
    line = scene.haproxy.crt_list[0]
    scene.perform(
        StoreCertificate(OTHER_PATH, OTHER),
        LoadCertificate(OTHER_PATH, OTHER),
        AddCrtListLine(OTHER_PATH, ("b.test",), OTHER),
        WriteFile(CRT_LIST, f"{OTHER_PATH} b.test\n".encode()),
        RemoveCrtListLine(line),
        ReplaceMap(TLS_MAP, {"b.test": "shop"}),
        Verify("b.test", OTHER),
        ForgetCertificate(PATH, loaded=True),
    )
    assert scene.haproxy.journal == [
        f"load_certificate {OTHER_PATH}",
        f"add_to_crt_list {OTHER_PATH}",
        f"remove_from_crt_list {PATH}",
        f"replace_map {TLS_MAP}",
        f"unload_certificate {PATH}",
    ]
    assert scene.disk.stored == {DEFAULT: SELF_SIGNED.pem, OTHER_PATH: OTHER.pem}
    assert scene.haproxy.maps[TLS_MAP] == {"b.test": "shop"}


# Certificates


def test_a_refused_renewal_restores_the_file(scene: Scene) -> None:
    """A bundle that HAProxy cannot use is not left on disk, where the next reload would fall over it."""
    scene.haproxy.too_weak = {NEW.fingerprint}
    with pytest.raises(
        CertificateRefused, match="HAProxy refuses the certificate issued/a: ee key too small"
    ) as refused:
        scene.perform(StoreCertificate(PATH, NEW), LoadCertificate(PATH, NEW))
    assert refused.value.bundle == NEW
    assert scene.disk.stored[PATH] == OLD.pem
    assert scene.haproxy.serves("a.test") == OLD.serial


def test_a_refused_new_certificate_leaves_no_file(scene: Scene) -> None:
    """HAProxy looks at a new one closely when a listener is to use it: it is on no list yet, and on disk no more."""
    scene.haproxy.too_weak = {OTHER.fingerprint}
    before = scene.disk.files()
    with pytest.raises(CertificateRefused, match="HAProxy refuses the certificate issued/b: ee key too small"):
        scene.perform(
            StoreCertificate(OTHER_PATH, OTHER),
            LoadCertificate(OTHER_PATH, OTHER),
            AddCrtListLine(OTHER_PATH, ("b.test",), OTHER),
            WriteFile(CRT_LIST, f"{OTHER_PATH} b.test\n".encode()),
        )
    assert OTHER_PATH not in scene.disk.stored
    assert scene.disk.files() == before
    assert "reload" not in scene.haproxy.journal


def test_a_disk_that_fails_ends_the_plan_before_the_worker_is_changed(scene: Scene) -> None:
    """What is not on disk would be gone after a restart: it is not loaded either."""
    scene.disk.failure = "Cannot write: No space left on device."
    with pytest.raises(OperationalError, match="No space left"):
        scene.perform(StoreCertificate(PATH, NEW), LoadCertificate(PATH, NEW))
    assert scene.haproxy.journal == []


# Configurations


def test_a_configuration_goes_live_in_four_steps(scene: Scene) -> None:
    """Staged, checked, made current, loaded; the one before it is removed then."""
    scene.perform(StoreCertificate(OTHER_PATH, OTHER), Deploy(configuration(((OTHER_PATH, ("b.test",)),))))
    assert scene.haproxy.journal == ["reload"]
    assert scene.haproxy.serves("b.test") == OTHER.serial
    assert list(scene.disk.generations) == [scene.disk.current]


def test_without_haproxy_nothing_is_reloaded(scene: Scene) -> None:
    """It reads what is current when it starts."""
    scene.haproxy.kill()
    scene.perform(Deploy(configuration()), running=False)
    assert scene.haproxy.journal == []


def test_a_configuration_that_the_check_refuses_leaves_everything(scene: Scene) -> None:
    """The old one is current, nothing was reloaded, nothing is left behind, and the reason is HAProxy's own."""
    before = scene.disk.current
    scene.haproxy.refused_line = b"global"
    with pytest.raises(ConfigurationRefused) as refused:
        scene.perform(Deploy(configuration()))
    assert str(refused.value) == (
        "HAProxy refuses the new configuration, the one before stays in service: unknown keyword"
    )
    assert (scene.disk.current, list(scene.disk.generations)) == (before, [before])
    assert scene.haproxy.journal == []


def test_a_configuration_that_the_reload_refuses_is_taken_back(scene: Scene) -> None:
    """A restart comes up on the old one, and the refused one does not pile up beside it."""
    before = scene.disk.current
    scene.haproxy.port_taken = True
    for _ in range(3):
        with pytest.raises(ConfigurationRefused, match="cannot bind socket"):
            scene.perform(Deploy(configuration()))
    assert (scene.disk.current, list(scene.disk.generations)) == (before, [before])


def test_bundles_of_a_refused_configuration_are_taken_back(scene: Scene) -> None:
    """One of them may be the reason; the configuration that is current still finds the old ones."""
    scene.haproxy.too_weak = {NEW.fingerprint}
    new_list = ((PATH, ("a.test",)), (OTHER_PATH, ("b.test",)))
    with pytest.raises(ConfigurationRefused, match="ee key too small"):
        scene.perform(StoreCertificate(PATH, NEW), StoreCertificate(OTHER_PATH, OTHER), Deploy(configuration(new_list)))
    assert scene.disk.stored == {DEFAULT: SELF_SIGNED.pem, PATH: OLD.pem}
    scene.haproxy.kill()
    scene.haproxy.start()


def test_with_nothing_to_go_back_to_the_new_files_stay(scene: Scene) -> None:
    """A state folder that was lost is not lost again because a reload failed."""
    scene.disk.current = None
    scene.haproxy.port_taken = True
    with pytest.raises(OperationalError, match="cannot bind socket"):
        scene.perform(StoreCertificate(PATH, NEW), Deploy(configuration(((PATH, ("a.test",)),))))
    scene.haproxy.kill()
    scene.haproxy.start()
    assert scene.haproxy.serves("a.test") == NEW.serial


# Runtime commands that fail


@pytest.mark.parametrize("command", ["remove_from_crt_list", "replace_map", "unload_certificate"])
def test_a_refused_command_falls_back_to_one_reload(
    scene: Scene, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever it is, worker and disk end where the plan wanted them, and no command meets the new worker."""
    scene.haproxy.refuses = {command}
    scene.perform(
        StoreCertificate(OTHER_PATH, OTHER),
        LoadCertificate(OTHER_PATH, OTHER),
        AddCrtListLine(OTHER_PATH, ("b.test",), OTHER),
        WriteFile(CRT_LIST, f"{OTHER_PATH} b.test\n".encode()),
        WriteFile(TLS_MAP, b"b.test shop\n"),
        RemoveCrtListLine(scene.haproxy.crt_list[0]),
        ReplaceMap(TLS_MAP, {"b.test": "shop"}),
        Verify("b.test", OTHER),
        ForgetCertificate(PATH, loaded=True),
    )
    assert scene.haproxy.journal.count("reload") == 1
    assert scene.haproxy.journal[-1] == "reload"
    assert scene.haproxy.crt_list == [CrtListLine(OTHER_PATH, 1, ("b.test",))]
    assert scene.haproxy.maps[TLS_MAP] == {"b.test": "shop"}
    assert set(scene.haproxy.loaded) == {DEFAULT, OTHER_PATH}
    assert set(scene.disk.stored) == {DEFAULT, OTHER_PATH}
    assert f"HAProxy refuses {command}. Reloading instead." in caplog.messages


def test_a_fallback_that_fails_too_is_told(scene: Scene) -> None:
    """Then nothing more can be done at this look."""
    scene.haproxy.refuses = {"replace_map"}
    scene.haproxy.port_taken = True
    with pytest.raises(OperationalError, match="HAProxy refuses to reload what is on disk: cannot bind socket"):
        scene.perform(ReplaceMap(TLS_MAP, {}))


# Proof by handshake


def test_a_certificate_that_is_seen_is_news_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """What clients get is said when they get something else than before, by the names in the configuration."""
    caplog.set_level(logging.INFO)
    scene.perform(Verify("a.test", OLD, news=False), Verify(None, SELF_SIGNED))
    until = f"{SELF_SIGNED.not_after:%Y-%m-%d %H:%M} UTC"
    assert caplog.messages == [f"Clients of no known name now get the certificate self-signed, valid until {until}."]
    assert scene.performer.seen == {"issued/a": OLD.serial, "self-signed": SELF_SIGNED.serial}


def test_a_certificate_that_is_not_seen_causes_a_reload(scene: Scene) -> None:
    """Disk and worker agree, and yet clients get something else: a new worker starts from the disk."""
    scene.disk.stored[PATH] = NEW.pem
    scene.perform(Verify("a.test", NEW))
    assert scene.haproxy.journal == ["reload"]
    assert scene.performer.seen["issued/a"] == NEW.serial


def test_a_reload_that_does_not_help_is_not_repeated(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """What a handshake shows is remembered and told, and traffic is not shaken at every look."""
    caplog.set_level(logging.INFO)
    scene.haproxy.shows_anyway = {"a.test": 5}
    for _ in range(3):
        scene.perform(Verify("a.test", OLD))
    assert scene.haproxy.journal == ["reload"]
    assert scene.performer.seen["issued/a"] == 5
    assert caplog.messages == [], "nothing is said to be served that is not"


# Reasons


@pytest.mark.parametrize(
    ("output", "gist"),
    [
        ("", "it gave no reason"),
        ("some text\nwithout marks", "some text without marks"),
        (
            "[NOTICE]   (8) : haproxy version is 3.0.11\n"
            "[ALERT]    (8) : config : parsing [x.cfg:7] : unknown keyword 'x'.\n"
            "[WARNING]  (8) : config : something\n"
            "[ALERT]    (8) : config : Fatal errors found in configuration.\n",
            "config : parsing [x.cfg:7] : unknown keyword 'x'.; config : Fatal errors found in configuration.",
        ),
    ],
)
def test_the_reason_is_what_haproxy_is_alarmed_about(output: str, gist: str) -> None:
    """Not its greeting, nor its process number."""

    def refuse(_: Path) -> Verdict:
        return Verdict(False, output)

    disk = FakeDisk()
    performer = Performer(disk, FakeHAProxy(disk), FakeHAProxy(disk), refuse)
    with pytest.raises(ConfigurationRefused) as refused:
        performer.perform([Deploy(configuration())], {}, running=False)
    assert str(refused.value).endswith(f"stays in service: {gist}")
