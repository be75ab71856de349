"""proxy_agent.reconcile: the actions between what is and what should be, and their order."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

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
from proxy_agent.reconcile import Actual, Desired, plan
from proxy_agent.routing.model import Backend, Server
from proxy_agent.routing.render import CONFIGURATION, CRT_LIST, DEFAULT_LIST, TLS_MAP, Configuration, map_file
from proxy_agent.runtime import CrtListLine, Running
from proxy_agent.server_changes import AddServer, MoveServer, RemoveServer, SetServerState
from proxy_agent.server_states import RunningServer
from proxy_agent.tls.bundle import Bundle
from tests.unit.agent.fakes import SELF_SIGNED, bundle

DEFAULT = "/state/default.pem"
A, B = bundle("issued/a", "a.test"), bundle("issued/b", "b.test")
RENEWED_A = bundle("issued/a", "a.test")

Lines = tuple[tuple[str, tuple[str, ...]], ...]


def path(item: Bundle) -> str:
    """Where a bundle is kept."""
    return f"/state/certificates/{item.name}.pem"


def wanted(
    *bundles: Bundle,
    default: Bundle = SELF_SIGNED,
    identity: str = "one",
    hosts: Mapping[str, str] | None = None,
    lines: Lines | None = None,
    backends: tuple[Backend, ...] = (),
) -> Desired:
    """What should be, where each of *bundles* answers for its own names unless *lines* says otherwise."""
    own_names = tuple((path(item), tuple(sorted(map(str, item.identifiers)))) for item in bundles)
    crt_list = own_names if lines is None else lines
    maps = {TLS_MAP: hosts or {}}
    text = f"    setenv COMPANION_CONFIGURATION {identity}\n{backends}".encode()
    files = {
        CONFIGURATION: text,
        DEFAULT_LIST: f"{DEFAULT} !*\n".encode(),
        CRT_LIST: "".join(f"{where} {' '.join(names)}\n" for where, names in crt_list).encode(),
        TLS_MAP: map_file(maps[TLS_MAP]),
    }
    return Desired(
        Configuration(identity, text, backends, crt_list, maps, files),
        {path(item): item for item in bundles} | {DEFAULT: default},
        DEFAULT,
    )


def settled(desired: Desired, worker: int = 7) -> Actual:
    """A world that is as desired."""
    configuration = desired.configuration
    return Actual(
        files=configuration.files,
        certificates={where: item.pem for where, item in desired.certificates.items()},
        running=Running(
            worker=worker,
            configuration=configuration.identity,
            certificates={where: item.fingerprint for where, item in desired.certificates.items()},
            crt_list=tuple(CrtListLine(where, n, names) for n, (where, names) in enumerate(configuration.crt_list, 1)),
            maps=configuration.maps,
            servers={
                pool.name: {s.name: RunningServer(str(s.address), s.port, s.state) for s in pool.servers}
                for pool in configuration.backends
            },
        ),
        seen={item.name: item.serial for item in desired.certificates.values()},
    )


def without_haproxy(actual: Actual) -> Actual:
    """The same while no HAProxy is there."""
    return replace(actual, running=None)


def running(actual: Actual) -> Running:
    """What the worker holds."""
    assert actual.running
    return actual.running


def kinds(actions: tuple[Action, ...]) -> list[str]:
    """What the actions are, in order."""
    return [type(action).__name__ for action in actions]


def test_nothing_to_do_is_nothing_done() -> None:
    """A world that is as desired has an empty plan, with HAProxy or without."""
    desired = wanted(A, B, hosts={"a.test": "shop"})
    assert plan(desired, settled(desired)) == ()
    assert plan(desired, without_haproxy(settled(desired))) == ()


def test_the_first_start_stores_the_certificates_and_then_deploys() -> None:
    """A configuration that names a bundle is written after it."""
    desired = wanted(A)
    empty = Actual(files={}, certificates={}, running=None)
    assert plan(desired, empty) == (
        StoreCertificate(path(A), A),
        StoreCertificate(DEFAULT, SELF_SIGNED),
        Deploy(desired.configuration),
    )


def test_a_new_certificate_takes_effect_without_a_reload() -> None:
    """Stored, loaded, accepted by the list that runs, named by the list on disk, and then looked at as clients do."""
    desired = wanted(A, B)
    actions = plan(desired, settled(wanted(A)))
    assert actions == (
        StoreCertificate(path(B), B),
        LoadCertificate(path(B), B),
        AddCrtListLine(path(B), ("b.test",), B),
        WriteFile(CRT_LIST, desired.configuration.files[CRT_LIST]),
        Verify("b.test", B),
    )


def test_a_renewed_certificate_is_swapped_in_place() -> None:
    """Nothing but the bundle changes."""
    assert plan(wanted(RENEWED_A), settled(wanted(A))) == (
        StoreCertificate(path(A), RENEWED_A),
        LoadCertificate(path(A), RENEWED_A),
        Verify("a.test", RENEWED_A),
    )


def test_another_default_certificate_is_swapped_in_place() -> None:
    """And verified by a client that asks for no name."""
    assert plan(wanted(default=A), settled(wanted())) == (
        StoreCertificate(DEFAULT, A),
        LoadCertificate(DEFAULT, A),
        Verify(None, A),
    )


def test_a_certificate_that_is_gone_leaves_the_lists_before_its_file_goes() -> None:
    """Forgotten by the worker, by the list on disk, and only then removed."""
    desired = wanted(A)
    actions = plan(desired, settled(wanted(A, B)))
    assert actions == (
        WriteFile(CRT_LIST, desired.configuration.files[CRT_LIST]),
        RemoveCrtListLine(CrtListLine(path(B), 2, ("b.test",))),
        ForgetCertificate(path(B), loaded=True),
    )


def test_a_name_that_moves_is_never_without_a_certificate() -> None:
    """Lines are added before others are removed."""
    before = wanted(A, B, lines=((path(A), ("a.test", "c.test")), (path(B), ("b.test",))))
    after = wanted(A, B, lines=((path(A), ("a.test",)), (path(B), ("b.test", "c.test"))))
    actions = plan(after, settled(before))
    assert kinds(actions) == [
        "AddCrtListLine",
        "AddCrtListLine",
        "WriteFile",
        "RemoveCrtListLine",
        "RemoveCrtListLine",
        "Verify",
        "Verify",
    ]


def test_a_bundle_that_loses_a_name_is_swapped_when_the_name_has_moved() -> None:
    """Its predecessor answers for the name until the new home of the name does."""
    old, new = bundle("issued/a", "a.test", "b.test"), bundle("issued/a", "a.test")
    actions = plan(wanted(new, B), settled(wanted(old)))
    assert kinds(actions) == [
        *("StoreCertificate", "LoadCertificate", "AddCrtListLine", "AddCrtListLine", "WriteFile", "RemoveCrtListLine"),
        *("StoreCertificate", "LoadCertificate", "Verify", "Verify"),
    ]
    assert [action.path for action in actions if isinstance(action, LoadCertificate)] == [path(B), path(new)]


def test_a_doubled_line_is_removed_once() -> None:
    """``add ssl crt-list`` does not look whether a line is there already."""
    desired = wanted(A)
    actual = settled(desired)
    twice = replace(running(actual), crt_list=(*running(actual).crt_list, CrtListLine(path(A), 9, ("a.test",))))
    assert plan(desired, replace(actual, running=twice)) == (RemoveCrtListLine(CrtListLine(path(A), 9, ("a.test",))),)


def test_the_order_of_names_in_a_line_means_nothing() -> None:
    """HAProxy may show them otherwise than they were given."""
    desired = wanted(A, lines=((path(A), ("a.test", "b.test")),))
    actual = settled(desired)
    turned = replace(running(actual), crt_list=(CrtListLine(path(A), 1, ("b.test", "a.test")),))
    assert plan(desired, replace(actual, running=turned)) == ()


def test_a_host_of_a_known_backend_takes_effect_without_a_reload() -> None:
    """Its map is exchanged, on disk and in the worker."""
    desired = wanted(hosts={"a.test": "shop", "b.test": "shop"})
    assert plan(desired, settled(wanted(hosts={"a.test": "shop"}))) == (
        WriteFile(TLS_MAP, b"a.test shop\nb.test shop\n"),
        ReplaceMap(TLS_MAP, {"a.test": "shop", "b.test": "shop"}),
    )


def test_a_new_configuration_is_deployed_whole() -> None:
    """A reload takes lists, maps and bundles along: nothing of them is changed one by one before it."""
    desired = wanted(B, identity="two", hosts={"b.test": "shop"})
    assert plan(desired, settled(wanted(A))) == (
        StoreCertificate(path(B), B),
        Deploy(desired.configuration),
        Verify("b.test", B),
        ForgetCertificate(path(A), loaded=False),
    )


def test_a_worker_that_runs_something_else_is_reloaded() -> None:
    """Files on disk prove nothing about the process: it may have been started on older ones."""
    desired = wanted(A)
    actual = settled(desired)
    assert plan(desired, replace(actual, running=replace(running(actual), configuration="zero"))) == (
        Deploy(desired.configuration),
    )


def test_a_worker_that_lost_what_it_was_told_is_told_again() -> None:
    """Where the disk is right and the worker is not, only the worker is changed."""
    desired = wanted(A, hosts={"a.test": "shop"})
    actual = settled(desired)
    forgetful = replace(running(actual), certificates={DEFAULT: SELF_SIGNED.fingerprint}, crt_list=(), maps={})
    assert plan(desired, replace(actual, running=forgetful)) == (
        LoadCertificate(path(A), A),
        AddCrtListLine(path(A), ("a.test",), A),
        ReplaceMap(TLS_MAP, {"a.test": "shop"}),
        Verify("a.test", A),
    )


def test_a_disk_that_lost_something_is_written_again() -> None:
    """Where the worker is right and the disk is not, a restart would be wrong."""
    desired = wanted(A)
    actual = settled(desired)
    assert plan(desired, replace(actual, files={**actual.files, CRT_LIST: b""})) == (
        WriteFile(CRT_LIST, desired.configuration.files[CRT_LIST]),
    )


def test_a_state_folder_that_is_gone_is_made_anew() -> None:
    """Whatever runs, its files come back."""
    desired = wanted(A)
    gone = replace(settled(desired), files={}, certificates={})
    assert kinds(plan(desired, gone)) == ["StoreCertificate", "StoreCertificate", "Deploy", "Verify", "Verify"]


def test_without_haproxy_every_change_is_checked_as_a_whole() -> None:
    """It will start on these files, and nobody will be there to correct a list, a map or a bundle."""
    before = without_haproxy(settled(wanted(A)))
    changes = [wanted(A, B), wanted(RENEWED_A), wanted(A, hosts={"a.test": "shop"}), wanted(A, default=A)]
    for desired in changes:
        actions = plan(desired, before)
        assert Deploy(desired.configuration) in actions
        assert set(kinds(actions)) <= {"StoreCertificate", "Deploy", "ForgetCertificate"}


def test_what_a_dead_worker_held_is_not_asked_of_it() -> None:
    """Without HAProxy a bundle that is not wanted any more is only removed from disk, after the lists."""
    actions = plan(wanted(A), without_haproxy(settled(wanted(A, B))))
    assert kinds(actions) == ["Deploy", "ForgetCertificate"]
    assert actions[-1] == ForgetCertificate(path(B), loaded=False)


# After a refusal


def test_a_refused_configuration_is_not_tried_at_every_look() -> None:
    """Nor are its maps: they name backends that the running configuration does not have."""
    desired = wanted(A, identity="two", hosts={"a.test": "new-backend"})
    actual = replace(settled(wanted(A)), refused="two")
    assert plan(desired, actual) == ()


def test_certificates_are_taken_while_a_configuration_is_refused() -> None:
    """A renewal does not wait for the operator to repair a route."""
    desired = wanted(A, B, identity="two", hosts={"b.test": "new-backend"})
    actions = plan(desired, replace(settled(wanted(A)), refused="two"))
    assert kinds(actions) == ["StoreCertificate", "LoadCertificate", "AddCrtListLine", "WriteFile", "Verify"]
    assert WriteFile(CRT_LIST, desired.configuration.files[CRT_LIST]) in actions


def test_another_configuration_than_the_refused_one_is_tried() -> None:
    """The repair needs no restart."""
    desired = wanted(A, identity="three")
    assert Deploy(desired.configuration) in plan(desired, replace(settled(wanted(A)), refused="two"))


def test_without_haproxy_a_refused_configuration_changes_nothing() -> None:
    """What is on disk is the last that was accepted, and HAProxy will start on it."""
    desired = wanted(B, identity="two")
    assert plan(desired, replace(without_haproxy(settled(wanted(A))), refused="two")) == ()


# Proof


def test_each_bundle_is_seen_once_in_an_agents_life() -> None:
    """An agent that has just started says what a handshake showed it, without a line in the log."""
    desired = wanted(A)
    assert plan(desired, replace(settled(desired), seen={})) == (
        Verify("a.test", A, news=False),
        Verify(None, SELF_SIGNED, news=False),
    )


def test_a_bundle_that_a_handshake_did_not_show_is_looked_at_again() -> None:
    """What is said about it stays true: mended, it is seen."""
    desired = wanted(A)
    actual = settled(desired)
    assert plan(desired, replace(actual, seen={**actual.seen, A.name: 1})) == (Verify("a.test", A, news=False),)


def pool(*ports: int) -> Backend:
    """A backend with a server for each port."""
    return Backend("shop", "shop", tuple(Server(f"shop-{port}", ip_address("10.0.0.1"), port) for port in ports))


def test_a_container_more_or_fewer_takes_effect_without_a_reload() -> None:
    """Disk first, then the new server, then the old one: the backend is never empty in between."""
    before, after = wanted(backends=(pool(1, 2),)), wanted(backends=(pool(2, 3),))
    assert plan(after, settled(before)) == (
        WriteFile(CONFIGURATION, after.configuration.text),
        AddServer("shop", "shop-3", "10.0.0.1:3"),
        RemoveServer("shop", "shop-1"),
    )


def test_a_container_that_moved_keeps_its_place() -> None:
    """A restarted container has another address, and its server is told."""
    moved = Backend("shop", "shop", (Server("shop-1", ip_address("10.0.0.9"), 1),))
    before, after = wanted(backends=(pool(1),)), wanted(backends=(moved,))
    assert plan(after, settled(before)) == (
        WriteFile(CONFIGURATION, after.configuration.text),
        MoveServer("shop", "shop-1", "10.0.0.9", 1),
    )


def test_a_container_that_returns_while_it_is_on_its_way_out_is_called_back() -> None:
    """It was set aside and not idle yet, and it is wanted again under the same name and address."""
    desired = wanted(backends=(pool(1),))
    actual = settled(desired)
    leaving = replace(running(actual), servers={"shop": {"shop-1": RunningServer("10.0.0.1", 1, "maint")}})
    assert plan(desired, replace(actual, running=leaving)) == (SetServerState("shop", "shop-1", "ready"),)


def test_who_takes_over_comes_before_who_is_relieved() -> None:
    """Two servers change places: there is no moment at which neither takes requests."""
    one, two = pool(1, 2).servers
    before = wanted(backends=(replace(pool(), servers=(one, replace(two, state="maint"))),))
    after = wanted(backends=(replace(pool(), servers=(replace(one, state="drain"), two)),))
    assert plan(after, settled(before)) == (
        WriteFile(CONFIGURATION, after.configuration.text),
        SetServerState("shop", "shop-2", "ready"),
        SetServerState("shop", "shop-1", "drain"),
    )


def test_a_container_that_is_not_ready_is_added_as_such() -> None:
    """It gets no request before it is."""
    (starting,) = pool(1).servers
    desired = wanted(backends=(replace(pool(), servers=(replace(starting, state="maint"),)),))
    assert plan(desired, settled(wanted(backends=(pool(),))))[1:] == (
        AddServer("shop", "shop-1", "10.0.0.1:1", "maint"),
    )


def test_servers_of_a_refused_configuration_are_left_alone() -> None:
    """Its backends are not there."""
    desired = wanted(identity="two", backends=(pool(1),))
    assert plan(desired, replace(settled(wanted()), refused="two")) == ()


def test_servers_are_where_they_belong_before_a_new_worker_takes_over() -> None:
    """It has its places from the worker before, whatever its configuration says."""
    moved = Backend("shop", "shop", (Server("shop-1", ip_address("10.0.0.9"), 2),))
    before, after = wanted(backends=(pool(1),)), wanted(identity="two", backends=(moved,))
    actions = plan(after, settled(before))
    assert actions[:2] == (MoveServer("shop", "shop-1", "10.0.0.9", 2), Deploy(after.configuration))


def test_servers_stand_as_they_should_before_a_new_worker_takes_over() -> None:
    """Likewise: what the worker before took for ready, the next one would too."""
    (sick,) = pool(1).servers
    unwell = replace(pool(), servers=(replace(sick, state="maint"),))
    before, after = wanted(backends=(pool(1),)), wanted(identity="two", backends=(unwell,))
    actions = plan(after, settled(before))
    assert actions[:2] == (SetServerState("shop", "shop-1", "maint"), Deploy(after.configuration))
