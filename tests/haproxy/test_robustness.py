"""Refusals, crashes and losses, with a HAProxy that serves through all of it."""

import shutil
import socket
import threading
from pathlib import Path

import pytest

from proxy_agent.routing.render import CRT_LIST
from proxy_agent.status import Status
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import TEMPLATES, Proxy, service, visitors

REFUSED_TEMPLATE = """
{% for backend in backends if backend.title == "bad" %}
    nonsense
{% endfor %}
"""


@pytest.fixture
def served(stopped: Proxy, shop: Origin) -> Proxy:
    """A proxy that serves a.test with a certificate, and whose templates spoil what has a service called bad."""
    stopped.templates = stopped.folder / "templates"
    shutil.copytree(TEMPLATES, stopped.templates)
    with (stopped.templates / "haproxy.cfg.j2").open("a") as template:
        template.write(REFUSED_TEMPLATE)
    stopped.serve(service("shop", "a.test", shop.port))
    stopped.publish("a", "a.test")
    stopped.boot()
    return stopped


def generations(proxy: Proxy) -> list[str]:
    """The configurations on disk."""
    return sorted(path.name for path in (proxy.settings.state_folder / "generations").iterdir())


def hosts(status: Status) -> set[str]:
    """What is routed."""
    return {route.host for route in status.routes}


def test_a_refused_configuration_leaves_the_running_one(
    served: Proxy, shop: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once, in HAProxy's words; the worker is the same, and the next good one is taken without a restart."""
    worker, good = served.worker, service("shop", "a.test", shop.port)
    served.serve(good, service("bad", "bad.test", shop.port))
    for _ in range(3):
        (problem,) = served.look().problems
        assert "unknown keyword 'nonsense'" in problem
        assert served.tls("a.test").status == 200
    assert len([message for message in caplog.messages if "nonsense" in message]) == 1
    assert served.worker == worker
    served.serve(good, service("next", "next.test", shop.port))
    assert hosts(served.look()) == {"a.test", "next.test"}
    assert served.tls("next.test", trusted=False).status == 200


def test_certificates_are_taken_while_a_configuration_is_refused(served: Proxy, shop: Origin) -> None:
    """Over a restart, too."""
    served.serve(service("shop", "a.test", shop.port), service("bad", "bad.test", shop.port))
    served.look()
    renewed, new = served.publish("a", "a.test"), served.publish("b", "b.test")
    served.look()
    assert (served.serial("a.test"), served.serial("b.test")) == (renewed.serial, new.serial)
    served.kill()
    served.start()
    assert (served.serial("a.test"), served.serial("b.test")) == (renewed.serial, new.serial)


def test_a_reload_that_fails_after_a_good_check_is_rolled_back(served: Proxy) -> None:
    """A port that is taken shows only then: the old worker serves on, and a restart comes up on the old files."""
    worker, files = served.worker, served.deployment.files()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        moved = served.another_agent(served.settings.model_copy(update={"http_port": port}))
        (problem,) = moved.cycle().problems
        assert "cannot bind socket" in problem
        assert served.deployment.files() == files
        assert len(generations(served)) == 1
        assert served.tls("a.test").status == 200
        assert served.worker == worker
        assert moved.cycle().problems == (problem,), "it is not tried again at once"
        assert served.worker == worker
    served.kill()
    served.start()
    assert served.tls("a.test").status == 200


def test_a_reload_fails_no_request(served: Proxy, shop: Origin) -> None:
    """New services come and go; visitors of the others do not notice."""
    worker = served.worker
    with visitors(served, "a.test", number=2) as visits:
        for number in range(3):
            served.serve(service("shop", "a.test", shop.port), service(f"new-{number}", "new.test", shop.port))
            assert hosts(served.look()) == {"a.test", "new.test"}
            visits.go_on()
    assert visits.failures == []
    assert served.worker != worker


def test_a_transaction_that_a_dead_client_left_open_is_in_nobodys_way(served: Proxy) -> None:
    """Of the same certificate or of another one; it is aborted, and what it would have set is forgotten."""
    left = served.authority.issue("a.test")
    path = served.deployment.certificate_path("issued/a")
    for target in (path, str(served.deployment.default_certificate)):
        assert "Transaction created" in served.ask(f"set ssl cert {target} <<\n{left.bundle_pem.decode()}")
        renewed, new = served.publish("a", "a.test"), served.publish("b", "b.test")
        assert served.look().problems == ()
        assert (served.serial("a.test"), served.serial("b.test")) == (renewed.serial, new.serial)
        assert left.serial not in {served.serial(name) for name in (None, "a.test", "b.test")}
        assert "*" not in served.ask("show ssl cert")


def test_after_a_crash_everything_is_served_as_before(served: Proxy, shop: Origin) -> None:
    """From disk alone, before any agent looks: certificates, routes and redirects."""
    new = served.publish("b", "b.test")
    served.serve(service("shop", "a.test,b.test", shop.port))
    served.look()
    served.kill()
    served.start()
    assert (served.serial("b.test"), served.plain("b.test").status) == (new.serial, 301)
    assert served.tls("b.test").status == served.tls("a.test").status == 200
    worker = served.worker
    assert served.look().problems == ()
    assert served.worker == worker, "there is nothing left to be done"


def test_a_host_that_starts_without_docker_serves_what_it_served(served: Proxy) -> None:
    """All of it was stopped; Docker is not there when it starts again."""
    served.kill()
    served.containers.failure = "Docker cannot be asked."
    del served.agent
    served.boot()
    assert served.tls("a.test").status == 200


def test_a_state_folder_that_is_lost_is_made_anew(served: Proxy) -> None:
    """While everything runs; a restart then finds it whole."""
    serial = served.serial("a.test")
    shutil.rmtree(served.settings.state_folder)
    assert served.look().problems == ()
    assert served.serial("a.test") == serial
    served.kill()
    served.start()
    assert served.serial("a.test") == serial
    assert served.tls("a.test").status == 200


def test_a_state_folder_that_is_lost_in_the_midst_of_work_is_made_anew(served: Proxy, shop: Origin) -> None:
    """At any moment of a look, again and again: no visitor notices, and it is whole as soon as it is let be."""
    calm, state = threading.Event(), served.settings.state_folder

    def vandalise() -> None:
        while not calm.wait(0.002):
            shutil.rmtree(state, ignore_errors=True)

    shop_itself = service("shop", "a.test", shop.port)
    vandal = threading.Thread(target=vandalise)
    with visitors(served, "a.test", number=2) as visits:
        vandal.start()
        try:
            for number in range(15):
                # Whatever this asks for: a reload, a certificate, a map, nothing.
                served.serve(
                    shop_itself, *([service(f"new-{number}", "new.test", shop.port)] if number % 3 == 0 else [])
                )
                served.publish("b", "b.test")
                served.look()
        finally:
            calm.set()
            vandal.join()
        # What HAProxy refused, because its files were gone, is tried again after a resync interval at the latest.
        served.later = 2 * served.settings.resync_interval
        renewed = served.publish("a", "a.test")
        served.serve(shop_itself)
        assert served.look_until_calm().problems == ()
        visits.go_on()
    assert visits.failures == []
    assert served.serial("a.test") == renewed.serial
    served.kill()
    served.start()
    assert served.serial("a.test") == renewed.serial
    assert served.tls("a.test").status == 200


@pytest.mark.parametrize("lost", ["certificates/issued/a.pem", f"current/{CRT_LIST}", "default.pem", "current"])
def test_a_file_that_is_lost_is_written_again(served: Proxy, lost: str) -> None:
    """Whatever somebody removed by hand, a restart is as good as before."""
    (served.settings.state_folder / lost).unlink()
    assert served.look().problems == ()
    served.kill()
    served.start()
    assert served.tls("a.test").status == 200


def test_a_worker_on_older_files_is_brought_to_the_new_ones(served: Proxy, shop: Origin) -> None:
    """It was started before an agent that did not live to reload it."""
    served.serve(service("shop", "a.test", shop.port), service("new", "new.test", shop.port))
    without_reload = served.another_agent(served.settings)
    served.deployment.remember(served.containers.known)
    without_reload.prepare()
    assert served.plain("new.test").status == 503
    served.look()
    assert served.plain("new.test").status == 200


def test_a_worker_that_forgot_a_certificate_is_told_again(served: Proxy) -> None:
    """Somebody spoke to it past the agent."""
    serial, path = served.serial("a.test"), served.deployment.certificate_path("issued/a")
    served.ask(f"del ssl crt-list {CRT_LIST} {path}:1")
    served.ask(f"del ssl cert {path}")
    assert served.serial("a.test") != serial
    served.look()
    assert served.serial("a.test") == serial


def test_a_worker_with_a_doubled_line_is_relieved_of_it(served: Proxy) -> None:
    """HAProxy adds a line as often as it is told to."""
    path = served.deployment.certificate_path("issued/a")
    served.ask(f"add ssl crt-list {CRT_LIST} <<\n{path} a.test\n")
    numbers = [[line.number for line in served.running.crt_list]]
    served.look()
    numbers += [[line.number for line in served.running.crt_list]]
    assert numbers == [[1, 2], [1]]
    assert served.tls("a.test").status == 200


def test_an_agent_that_starts_anew_leaves_everything_as_it_is(served: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """No reload, no write, no line in the log; and it knows by handshakes what is served."""
    worker, state = served.worker, snapshot(served.settings.state_folder)
    caplog.clear()
    status = served.another_agent(served.settings).cycle()
    assert (served.worker, snapshot(served.settings.state_folder)) == (worker, state)
    assert caplog.messages == []
    assert [certificate.served for certificate in status.certificates] == [True, True]


def snapshot(folder: Path) -> dict[str, int]:
    """When each file below was written."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}
