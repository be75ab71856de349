"""proxy_agent.agent: one look after another, between stand-ins for the world."""

from datetime import timedelta

import pytest

from proxy_agent.daemon.errors import OperationalError, Skipped
from proxy_agent.daemon.liveness import LONGEST_LOOK
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.routing.render import CONFIGURATION, PLAIN_MAP, REDIRECT_MAP, TLS_MAP
from proxy_agent.status import Status
from tests.unit.agent.fakes import NOW, SELF_SIGNED, House, service

SHOP = service("shop", "a.test")
MINUTE = timedelta(seconds=60)


# Services


def test_a_service_is_served_after_one_look(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A new backend costs one reload and one line."""
    house.containers.known = (SHOP,)
    status = house.look()
    assert house.haproxy.journal == ["reload"]
    assert house.haproxy.maps[PLAIN_MAP].keys() == house.haproxy.maps[TLS_MAP].keys() == {"a.test"}
    assert caplog.messages == ["a.test: http and https served by shop (10.0.0.1:80)"]
    assert [(route.listener, route.host, route.servers) for route in status.routes] == [
        ("plain", "a.test", ("shop-1 10.0.0.1:80",)),
        ("tls", "a.test", ("shop-1 10.0.0.1:80",)),
    ]


def test_another_host_of_a_known_service_is_no_reload(house: House) -> None:
    """Its maps change in the worker that runs, and on disk."""
    house.containers.known = (SHOP,)
    house.look()
    house.haproxy.journal.clear()
    house.containers.known = (service("shop", "a.test,b.test"),)
    house.look()
    assert house.haproxy.journal == [f"replace_map {PLAIN_MAP}", f"replace_map {TLS_MAP}"]
    assert b"b.test " in house.disk.files()[TLS_MAP]


def test_a_service_that_is_gone_is_said_to_be(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """An operator who stopped it sees that it had its effect."""
    house.containers.known = (SHOP,)
    house.look()
    caplog.clear()
    house.containers.known = ()
    assert house.look().routes == ()
    assert caplog.messages == ["a.test is no longer served."]


def test_what_was_left_out_is_said_once_and_stays_in_the_status(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells when it began, the status whether it lasts."""
    house.containers.known = (service("shop", "a.test,u@b.test"),)
    first = house.look()
    caplog.clear()
    second = house.look()
    reason = "shop: VIRTUAL_HOST: 'u@b.test' names a user: write the host alone"
    assert first.problems == second.problems == (reason,)
    assert caplog.messages == []


# Docker


def test_without_docker_the_last_services_stay(house: House) -> None:
    """An error is no answer."""
    house.containers.known = (SHOP,)
    served = house.look().routes
    house.containers.failure = "Docker cannot be asked for containers: Connection refused."
    house.containers.known = ()
    for _ in range(20):
        assert house.look().routes == served
    assert house.haproxy.journal == ["reload"]


def test_a_docker_that_stays_away_is_said_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Not at once, for containers start in any order; then with its reason, and again when it is mended."""
    house.containers.failure = "Docker cannot be asked for containers: Connection refused."
    problems = [house.look().problems for _ in range(8)]
    sentence = "Docker cannot be asked for containers: Connection refused. Routing stays as it was."
    assert problems == [()] * 5 + [(sentence,)] * 3
    house.containers.failure = ""
    house.look()
    assert caplog.messages == [sentence, "Mended: the agent's own work"]


def test_the_status_tells_how_old_the_answer_of_docker_is(house: House) -> None:
    """As of when it is known what runs."""
    house.now += MINUTE
    house.containers.failure = "no Docker"
    status = house.look()
    assert (status.cycle_at, status.containers_as_of) == (NOW + MINUTE, NOW)


def test_after_a_restart_without_docker_the_remembered_services_are_served(house: House) -> None:
    """A host that comes up in a bad order serves what it served before."""
    house.containers.known = (SHOP,)
    served = house.look().routes
    house.haproxy.kill()
    house.containers.failure = "no Docker"
    house.boot()
    assert house.look().routes == served
    assert house.look().containers_as_of is None


# HAProxy


def test_while_haproxy_is_away_its_files_are_put_right(house: House) -> None:
    """It comes up with what has changed meanwhile."""
    house.haproxy.kill()
    house.containers.known = (SHOP,)
    new = house.issue("a", "a.test")
    status = house.look()
    assert not status.haproxy_running
    house.haproxy.start()
    assert house.haproxy.serves("a.test") == new.serial
    assert house.haproxy.maps[REDIRECT_MAP] == {"a.test": "hsts"}


def test_a_haproxy_that_stays_away_is_said_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Not at once: its supervisor needs a moment."""
    house.haproxy.kill()
    for _ in range(8):
        house.look()
    house.haproxy.start()
    house.look()
    sentence = "HAProxy does not answer on its runtime socket."
    assert caplog.messages == [sentence, "Mended: the agent's own work"]


def test_a_haproxy_that_was_started_anew_is_as_the_one_before(house: House) -> None:
    """Nothing has to be told to it, for everything was on disk."""
    house.containers.known = (SHOP,)
    new = house.issue("a", "a.test")
    house.look()
    house.haproxy.kill()
    house.haproxy.start()
    house.haproxy.journal.clear()
    house.look()
    assert house.haproxy.journal == []
    assert house.haproxy.serves("a.test") == new.serial


def test_an_agent_that_was_started_anew_changes_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """It finds everything as it left it, and proves by handshakes what it says, without a word in the log."""
    house.containers.known = (SHOP,)
    house.issue("a", "a.test")
    house.look()
    house.haproxy.journal.clear()
    writes = house.disk.writes
    caplog.clear()
    house.agent = house.another_agent()
    status = house.look()
    assert house.haproxy.journal == []
    assert house.disk.writes == writes
    assert [certificate.served for certificate in status.certificates] == [True, True]
    assert caplog.messages == []


# Refused configurations


def test_a_refused_configuration_leaves_the_running_one(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, stays in the status as long as it lasts, and costs no second attempt until the resync."""
    house.containers.known = (SHOP,)
    served = house.look().routes
    caplog.clear()
    house.haproxy.journal.clear()
    house.haproxy.refused_line = b"backend bad"
    house.containers.known = (SHOP, service("bad", "b.test"))
    statuses = [house.look() for _ in range(4)]
    (sentence,) = {problem for status in statuses for problem in status.problems}
    assert [status.problems for status in statuses] == [(sentence,)] * 4
    assert sentence.startswith("HAProxy refuses the new configuration")
    assert caplog.messages == [sentence]
    assert all(status.routes == served for status in statuses)
    assert house.haproxy.journal == []


def test_the_next_good_configuration_is_taken(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Without a restart, and with a line that says so."""
    house.haproxy.refused_line = b"backend bad"
    house.containers.known = (service("bad", "b.test"),)
    house.look()
    house.containers.known = (SHOP,)
    status = house.look()
    assert {route.host for route in status.routes} == {"a.test"}
    assert status.problems == ()
    assert caplog.messages[-1] == "Mended: the agent's own work"


def test_certificates_are_taken_while_a_configuration_is_refused(house: House) -> None:
    """A renewal does not wait for somebody to repair a route."""
    house.haproxy.refused_line = b"backend bad"
    house.containers.known = (service("bad", "b.test"),)
    house.look()
    new = house.issue("a", "a.test")
    house.look()
    assert house.haproxy.serves("a.test") == new.serial
    assert house.haproxy.maps[TLS_MAP] == {}, "its maps name a backend that does not run"


def test_a_refused_configuration_is_tried_again_after_a_resync(house: House) -> None:
    """The reason may have passed: a full disk, a port that somebody else held."""
    house.haproxy.port_taken = True
    house.containers.known = (SHOP,)
    for _ in range(5):
        house.look()
        house.now += timedelta(seconds=11)
    assert house.haproxy.journal == ["reload"], "each attempt stops the listeners for two seconds"
    house.haproxy.port_taken = False
    house.now += timedelta(seconds=11)
    assert {route.host for route in house.look().routes} == {"a.test"}


def test_a_clock_that_goes_back_lets_nothing_be_refused_for_longer(house: House) -> None:
    """The time until the next attempt begins anew: a clock that was a day ahead costs no day."""
    house.now += timedelta(days=1)
    house.haproxy.port_taken = True
    house.containers.known = (SHOP,)
    house.look()
    house.haproxy.port_taken = False
    house.now -= timedelta(days=1)
    house.look()
    house.now += MINUTE
    assert {route.host for route in house.look().routes} == {"a.test"}


# Preparing a start


def test_the_first_start_of_all_has_a_configuration(house: House) -> None:
    """Without Docker, without services, without a certificate of anybody's: HAProxy starts."""
    assert house.haproxy.serial(None) == SELF_SIGNED.serial
    assert house.disk.files()[TLS_MAP] == b""


def test_a_start_with_a_bad_certificate_starts_on_what_was_good(house: House) -> None:
    """A container that is restarted with a certificate in its folder that HAProxy refuses does not stay down."""
    house.containers.known = (SHOP,)
    good = house.issue("b", "b.test")
    house.look()
    house.haproxy.kill()
    house.haproxy.too_weak = {house.issue("a", "a.test").fingerprint}
    house.boot()
    assert house.haproxy.serves("b.test") == good.serial
    assert house.haproxy.maps[TLS_MAP].keys() == {"a.test"}


def test_a_first_start_with_a_bad_certificate_starts_without_it(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing was good before, a configuration without any service or certificate is."""
    house.disk.current, house.disk.generations, house.disk.stored = None, {}, {}
    house.haproxy.kill()
    house.haproxy.too_weak = {house.issue("a", "a.test").fingerprint}
    house.boot()
    assert house.haproxy.serial(None) == SELF_SIGNED.serial
    assert "ee key too small" in caplog.text


def test_a_start_after_an_update_that_broke_the_templates_keeps_the_old_configuration(house: House) -> None:
    """What HAProxy would refuse is not put in the place of what it accepts."""
    house.containers.known = (SHOP,)
    house.look()
    house.haproxy.kill()
    current = house.disk.current
    house.disk.services = (SHOP, service("bad", "b.test"))
    house.haproxy.refused_line = b"backend bad"
    house.another_agent().prepare()
    assert house.disk.current == current
    house.haproxy.start()


def test_a_start_that_cannot_write_says_so(house: House) -> None:
    """Then there is nothing that HAProxy could start on, and the container must fail visibly."""
    house.disk.current, house.disk.generations = None, {}
    house.disk.failure = "Cannot write below /state: Read-only file system."
    with pytest.raises(OperationalError, match="Read-only file system"):
        house.another_agent().prepare()


# The loop


class Clockwork(Wakeup):
    """A wakeup that notes how long the loop wants to sleep, and stops it in the end."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.slept: list[float] = []
        self._looks = looks

    def wait(self, timeout: float) -> frozenset[str]:
        """Do not sleep."""
        self.slept.append(timeout)
        if len(self.slept) == self._looks:
            self.stop()
        return frozenset()


def test_every_look_ends_in_a_status_and_a_sleep(house: House) -> None:
    """As long as the resync interval when all is well, and no longer than until the loop is stopped."""
    published: list[Status] = []
    clockwork = Clockwork(3)
    house.agent.run(clockwork, published.append)
    assert clockwork.slept == [60.0, 60.0, 60.0]
    assert len(published) == 3


def test_failures_are_retried_soon_and_then_more_seldom(house: House) -> None:
    """From a quarter of a second, doubling, up to half a minute."""
    house.haproxy.kill()
    clockwork = Clockwork(10)
    house.agent.run(clockwork, lambda _: None)
    assert clockwork.slept == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_refused_configuration_is_not_a_failure_at_every_look(house: House) -> None:
    """The look after it takes what can be taken, and then the loop sleeps as long as ever."""
    house.haproxy.refused_line = b"backend bad"
    house.containers.known = (service("bad", "b.test"),)
    clockwork = Clockwork(3)
    house.agent.run(clockwork, lambda _: None)
    assert clockwork.slept == [0.25, 60.0, 60.0]


def test_the_status_says_when_the_next_one_is_overdue(house: House) -> None:
    """After two resyncs without one, the agent hangs or is gone."""
    assert house.look().stale_after == NOW + 2 * MINUTE


# What lies beside HAProxy


def test_a_new_page_is_a_new_configuration(house: House) -> None:
    """Its content goes with the configuration that names it, and changes the identity of that."""
    house.surroundings.pages[503] = b"first"
    house.look()
    (first,) = [name for name in house.disk.files() if name.startswith("errors/503-")]
    house.surroundings.pages[503] = b"second"
    house.look()
    assert house.haproxy.journal == ["reload", "reload"]
    (second,) = [name for name in house.disk.files() if name.startswith("errors/503-")]
    assert (house.disk.files()[second], first == second) == (b"second", False)


def test_a_page_that_was_left_out_is_a_problem(house: House) -> None:
    """Nothing else changes."""
    house.surroundings.skipped = (Skipped("/errors/404.html", "empty"),)
    assert house.look().problems == ("/errors/404.html: empty",)
    assert house.haproxy.journal == []


def test_a_taken_port_costs_the_entry_that_asks_for_it(house: House) -> None:
    """HAProxy is never told to listen on it; once it is free, it is."""
    house.containers.known = (service("shop", "a.test,b.test:8080"),)
    house.surroundings.taken = {8080: "is taken by another program"}
    status = house.look()
    assert status.problems == ("shop: http://b.test:8080 is not served: port 8080 is taken by another program",)
    assert b":8080" not in house.disk.files()[CONFIGURATION]
    assert {route.host for route in status.routes} == {"a.test"}
    house.surroundings.taken = {}
    assert house.look().problems == ()
    assert b"bind 0.0.0.0:8080" in house.disk.files()[CONFIGURATION]


def test_the_statistics_give_way_to_another_program(house: House) -> None:
    """So does nobody's service to the statistics' port."""
    house.surroundings.taken = {1936: "is taken by another program"}
    assert house.look().problems == ("STATS_PORT: port 1936 is taken by another program",)
    assert b"frontend statistics" not in house.disk.files()[CONFIGURATION]
    house.surroundings.taken = {}
    house.containers.known = (service("shop", "a.test:1936"),)
    assert house.look().problems == ("shop: http://a.test:1936 is not served: port 1936 is STATS_PORT",)


def test_each_step_of_the_loop_is_due_in_time(house: House) -> None:
    """A look as well as a sleep: whoever watches knows that something hangs."""
    due: list[float] = []
    house.agent.run(Clockwork(2), lambda _: None, due.append)
    assert due == [LONGEST_LOOK, 60 + LONGEST_LOOK] * 2


def test_a_status_that_cannot_be_published_is_said_and_costs_nothing_else(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """A full tmpfs is no reason to stop looking."""
    published: list[Status] = []

    def publish(current: Status) -> None:
        published.append(current)
        if len(published) < 3:
            raise OperationalError("Cannot write status.json: No space left on device.")

    house.agent.run(Clockwork(4), publish)
    assert len(published) == 4
    assert caplog.messages == ["Cannot write status.json: No space left on device.", "Mended: the status"]
