"""The nine invariants of the agent, where the binary has its say; the others stand in tests/unit/agent."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.deployment import Deployment
from proxy_agent.listener import Listener
from proxy_agent.process import check_configuration
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, proxy_in_a_folder, service, visitors
from tests.waiting import until


@pytest.fixture
def served(stopped: Proxy, shop: Origin) -> Proxy:
    """A proxy that serves a.test with a certificate."""
    stopped.serve(service("shop", "a.test", shop.port))
    stopped.publish("a", "a.test")
    stopped.boot()
    return stopped


def written(proxy: Proxy) -> dict[str, int]:
    """When each file that HAProxy reads was written."""
    paths = (
        path for path in proxy.settings.state_folder.rglob("*") if path.suffix in (".cfg", ".list", ".map", ".pem")
    )
    return {str(path): path.stat().st_mtime_ns for path in paths}


def test_1_same_world_same_bytes(served: Proxy, shop: Origin, blog: Origin) -> None:
    """Same world, same bytes: what is listed in another order is neither written nor reloaded."""
    services = [service("shop", "a.test,b.test", shop.port, blog.port), service("blog", "b.test", blog.port)]
    served.serve(*services)
    served.publish("b", "b.test", "c.test")
    served.look()
    files, worker = written(served), served.worker
    served.serve(*reversed(services))
    assert served.another_agent(served.settings).cycle().problems == ()
    assert (written(served), served.worker) == (files, worker)


def test_2_nothing_to_do(served: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing to do: no action, no log line, from us or from HAProxy."""
    served.look()
    files, worker, log = written(served), served.worker, served.log
    caplog.clear()
    for _ in range(3):
        served.look()
    assert (written(served), served.worker, served.log, caplog.messages) == (files, worker, log, [])


def test_3_a_rejected_configuration(served: Proxy, shop: Origin) -> None:
    """A rejected configuration leaves the running one, and the next good one is taken without a restart."""
    worker = served.worker
    spoiled = served.settings.model_copy(update={"letsencrypt_service_name": "a b"})
    agent = served.another_agent(spoiled)
    (problem,) = agent.cycle().problems
    assert problem.startswith("HAProxy refuses the new configuration")
    assert (served.tls("a.test").status, served.worker) == (200, worker)
    served.serve(service("shop", "a.test", shop.port), service("next", "next.test", shop.port))
    assert served.look().problems == ()
    assert served.plain("next.test").status == 200


class Witness(Deployment):
    """A state folder from which HAProxy is started, in thought, after every single change."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.steps: list[str] = []

    def _look(self, step: str) -> None:
        verdict = check_configuration(self.configuration)
        assert verdict.accepted, f"HAProxy would not start after {step}: {verdict.reasons}"
        self.steps.append(step)

    def store_certificates(self, bundles: Mapping[str, bytes]) -> None:
        """And look."""
        super().store_certificates(bundles)
        self._look("bundles were stored")

    def remove_certificate(self, path: str) -> None:
        """And look."""
        super().remove_certificate(path)
        self._look("a bundle was removed")

    def write(self, name: str, content: bytes) -> None:
        """And look."""
        super().write(name, content)
        self._look(f"{name} was written")

    def stage(self, files: Mapping[str, bytes], identity: str) -> Path:
        """And look."""
        staged = super().stage(files, identity)
        self._look("a configuration was staged")
        return staged

    def commit(self, staged: Path) -> Path | None:
        """And look."""
        before = super().commit(staged)
        self._look("a configuration was committed")
        return before

    def prune(self) -> None:
        """And look."""
        super().prune()
        self._look("the configurations before were removed")


def test_4_what_is_named_exists(served: Proxy, shop: Origin) -> None:
    """A file that a running configuration names exists as long as it runs: a restart at any moment would succeed."""
    witness = Witness(served.settings.state_folder)
    agent = served.another_agent(served.settings, deployment=witness)
    served.publish("a", "a.test", "more.test")
    served.publish("b", "b.test")
    agent.cycle()
    served.unpublish("a")
    served.publish("weak", "weak.test", private_key=rsa.generate_private_key(65537, 1024))
    for _ in range(3):
        agent.cycle()
    served.unpublish("b")
    served.serve(service("new", "n.test", shop.port))
    served.publish("n", "n.test")
    agent.cycle()
    assert set(witness.steps) >= {
        "bundles were stored",
        "a bundle was removed",
        "crt.list was written",
        "a configuration was staged",
        "a configuration was committed",
        "the configurations before were removed",
    }
    assert served.tls("n.test").status == 200


def bad_label(proxy: Proxy) -> None:
    """A VIRTUAL_HOST that would be HAProxy's syntax."""
    proxy.serve(*proxy.containers.known, service("bad", "x.test\n    bind :1", 80))


def bad_file(proxy: Proxy) -> None:
    """A bundle that nobody can read."""
    proxy.publish_bytes("x", b"garbage")


def bad_certificate(proxy: Proxy) -> None:
    """A bundle that HAProxy refuses."""
    proxy.publish("x", "x.test", private_key=rsa.generate_private_key(65537, 1024))


def bad_names(proxy: Proxy) -> None:
    """A certificate for a name that would be two words of a list; who else would ask for it."""
    proxy.publish("x", "x.test y.test\n/etc/passwd")


@pytest.mark.parametrize("go_bad", [bad_label, bad_file, bad_certificate, bad_names])
def test_5_one_bad_thing_costs_itself(served: Proxy, shop: Origin, go_bad: Callable[[Proxy], None]) -> None:
    """One bad container, label, PEM or domain costs that one, with a reason the operator can see, never the rest."""
    go_bad(served)
    served.serve(*served.containers.known, service("new", "n.test", shop.port))
    served.publish("n", "n.test")
    assert len(served.look_until_calm().problems) == 1
    assert served.tls("a.test").status == served.tls("n.test").status == 200
    served.kill()
    served.boot()
    assert served.tls("a.test").status == served.tls("n.test").status == 200


def test_6_a_lost_event(served: Proxy) -> None:
    """A lost event costs at most one resync interval: here nobody ever rings."""
    settings = served.settings.model_copy(update={"resync_interval": timedelta(seconds=0.3)})
    agent, wakeup = served.another_agent(settings), Wakeup()
    loop = threading.Thread(target=agent.run, args=(wakeup, lambda _: None))
    loop.start()
    try:
        renewed = served.publish("a", "a.test")
        until(lambda: served.serial("a.test") == renewed.serial, "the renewed certificate", within=10)
        served.serve()
        until(lambda: served.plain("a.test").status == 503, "the end of the route", within=10)
    finally:
        wakeup.stop()
        loop.join()


def docker_fails(proxy: Proxy) -> None:
    """Docker answers with an error."""
    proxy.containers.failure = "Docker cannot be asked."


def folder_fails(proxy: Proxy) -> None:
    """The folder of issued certificates cannot be read."""
    folder = proxy.settings.issued_folder
    folder.rename(folder.with_name("lost"))
    folder.symlink_to(folder)


@pytest.mark.parametrize("fail", [docker_fails, folder_fails])
def test_7_an_error_is_no_empty_answer(served: Proxy, fail: Callable[[Proxy], None]) -> None:
    """An empty answer caused by an error never replaces a working set, be it over a restart of everything."""
    fail(served)
    for _ in range(3):
        served.look()
    assert served.tls("a.test").status == 200
    served.kill()
    del served.agent
    served.boot()
    assert served.tls("a.test").status == 200


def test_8_a_certificate_swap_never_reloads(served: Proxy, shop: Origin) -> None:
    """New, renewed, removed, default: the worker is the same one. A new backend is what takes a new worker."""
    worker = served.worker
    served.publish("a", "a.test", "more.test")
    served.publish("b", "b.test")
    served.look()
    default = served.authority.issue("d.test")
    (served.settings.custom_folder / "default.pem").write_bytes(default.bundle_pem)
    served.unpublish("b")
    served.look()
    assert served.serial(None) == default.serial
    assert served.worker == worker
    served.serve(*served.containers.known, service("new", "n.test", shop.port))
    served.look()
    assert served.worker != worker


def test_8_a_scale_up_never_reloads(served: Proxy, shop: Origin, blog: Origin) -> None:
    """A second container of a service, and one fewer again, take effect in the worker that runs."""
    worker = served.worker
    served.serve(service("shop", "a.test", shop.port, blog.port))
    with visitors(served, "a.test"):
        served.look()
        until(lambda: served.tls("a.test").received["origin"] == "blog", "the second container", within=10)
        served.serve(service("shop", "a.test", shop.port))
        served.look()
    assert {served.tls("a.test").received["origin"] for _ in range(8)} == {"shop"}
    assert served.worker == worker


def test_9_served_is_what_a_handshake_showed(
    served: Proxy, authority: CertificateAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """What we say is served is what a real handshake on the listener showed: here, on the listener of somebody else."""
    with proxy_in_a_folder(authority) as other:
        other.boot()
        mistaken = served.another_agent(served.settings, listener=Listener(other.settings.https_port))
        served.publish("a", "a.test")
        status = mistaken.cycle()
    assert [(item.name, item.served) for item in status.certificates] == [("issued/a", False), ("self-signed", False)]
    assert "A handshake for issued/a showed another certificate, and a reload did not help." in status.problems
    assert not [message for message in caplog.messages if "issued/a" in message and "now get" in message]
    status = served.look()
    assert [(item.name, item.served) for item in status.certificates] == [("issued/a", True), ("self-signed", True)]
