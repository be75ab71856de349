"""The difference between what should be and what is, as a list of actions in the order that is safe.

Files are written before anything names them and removed after nothing does. Bundles, crt-list lines and maps change
in the running worker; only a changed ``haproxy.cfg`` costs a reload, which then takes the rest along.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
from proxy_agent.routing.render import CONFIGURATION, CRT_LIST, DEFAULT_LIST, TICKET_KEYS, Configuration, identity_in
from proxy_agent.runtime import Running
from proxy_agent.server_changes import MoveServer, SetServerState, server_changes
from proxy_agent.session_tickets import ticket_changes
from proxy_agent.tls.bundle import Bundle


@dataclass(frozen=True)
class Desired:
    """What the pure core decided."""

    configuration: Configuration
    certificates: Mapping[str, Bundle]
    """By path, the default certificate among them."""
    default_certificate: str
    """The path of that one."""
    shows_default: bool = True


@dataclass(frozen=True)
class Actual:
    """What the edges found."""

    files: Mapping[str, bytes]
    certificates: Mapping[str, bytes]
    running: Running | None
    """None while HAProxy is not there: then only files are put right, and it starts on them."""
    seen: Mapping[str, int] = field(default_factory=dict)
    """Serial numbers that handshakes showed, by the name of the bundle that they were to show."""
    refused: str | None = None
    """The identity of a configuration that HAProxy refused: not tried again while nothing changed."""


def plan(desired: Desired, actual: Actual) -> tuple[Action, ...]:
    """The actions that make *actual* equal *desired*, in order; none where nothing differs."""
    changed = changed_certificates(desired.certificates, actual.certificates, actual.running)
    deploy = _needs_deployment(desired, actual, changed)
    actions: list[Action] = []
    if deploy:
        if actual.running:
            # A new worker takes its servers to be where and as the one before had them: that is put right first.
            changes = server_changes(desired.configuration.backends, actual.running.servers)
            actions += [change for change in changes if isinstance(change, MoveServer | SetServerState)]
        actions += _stores(changed, actual)
        actions.append(Deploy(desired.configuration))
    elif actual.running:
        late = _shrinking(changed, actual.running)
        actions += _loads({path: bundle for path, bundle in changed.items() if path not in late}, actual)
        actions += _new_lines(desired, actual.running)
        # Once HAProxy has taken each bundle, and before the rest: where that fails, a reload does what the disk says.
        actions += _file_changes(desired, actual)
        actions += _old_lines(desired, actual.running)
        actions += _loads(late, actual)
        actions += ticket_changes(desired.configuration.ticket_keys, actual.running.ticket_keys)
        if not _is_refused(desired, actual):
            actions += server_changes(desired.configuration.backends, actual.running.servers)
            actions += _map_changes(desired, actual.running)
    else:
        return ()
    if actual.running:
        # What is new to clients comes first, renewals before all: a look may not have the time for all.
        renewed = {bundle.name for path, bundle in changed.items() if path in actual.certificates}
        proofs: list[Verify] = list(_verifications(desired, changed, actual))
        proofs.sort(key=lambda proof: (not proof.news, proof.bundle.name not in renewed))
        actions += proofs
    actions += _leftovers(desired, actual, reloads=deploy)
    return tuple(actions)


def _is_refused(desired: Desired, actual: Actual) -> bool:
    return desired.configuration.identity == actual.refused


def _needs_deployment(desired: Desired, actual: Actual, changed: Mapping[str, Bundle]) -> bool:
    if not actual.files:
        return True
    if _is_refused(desired, actual):
        return False
    if actual.running is None:
        # HAProxy will start on these files alone, and nobody can ask it then to take a part of them back.
        return bool(changed) or any(_file_changes(desired, actual))
    return not _is_loaded(desired, actual)


def _is_loaded(desired: Desired, actual: Actual) -> bool:
    """Whether HAProxy runs the desired configuration, if not with all that the runtime API changes."""
    on_disk = identity_in(actual.files.get(CONFIGURATION, b""))
    running = actual.running.configuration if actual.running else None
    return {on_disk, running} == {desired.configuration.identity}


def _stores(changed: Mapping[str, Bundle], actual: Actual) -> Iterator[Action]:
    for path, bundle in changed.items():
        if actual.certificates.get(path) != bundle.pem:
            yield StoreCertificate(path, bundle)


def _loads(changed: Mapping[str, Bundle], actual: Actual) -> Iterator[Action]:
    """One by one: the refusal of one finds the others untouched.

    Files that nothing names yet may all come first; of those in use, HAProxy has taken each before the next changes.
    """
    yield from _stores({path: bundle for path, bundle in changed.items() if path not in actual.certificates}, actual)
    for path, bundle in changed.items():
        if path in actual.certificates:
            yield from _stores({path: bundle}, actual)
        yield LoadCertificate(path, bundle)


def _shrinking(changed: Mapping[str, Bundle], running: Running) -> Mapping[str, Bundle]:
    """The bundles without a name that their predecessor still answers for: first that name finds another home."""
    answered = {(line.path, name) for line in running.crt_list for name in line.names}
    lost = {path for path, name in answered if path in changed and name not in changed[path].identifiers}
    return {path: bundle for path, bundle in changed.items() if path in lost}


def changed_certificates(
    desired: Mapping[str, Bundle], stored: Mapping[str, bytes], running: Running | None
) -> dict[str, Bundle]:
    """Those of *desired*, by path, that are not on disk as they should be, or not in the running worker."""
    loaded = running.certificates if running else None
    return {
        path: bundle
        for path, bundle in sorted(desired.items())
        if stored.get(path) != bundle.pem or (loaded is not None and loaded.get(path) != bundle.fingerprint)
    }


def _new_lines(desired: Desired, running: Running) -> Iterator[Action]:
    """They come before old ones go: a name that moves from one bundle to another is never without."""
    there = {(line.path, frozenset(line.names), line.options) for line in running.crt_list}
    for path, names, options in desired.configuration.lines:
        if (path, frozenset(names), options) not in there:
            yield AddCrtListLine(path, names, desired.certificates[path], options)


def _old_lines(desired: Desired, running: Running) -> Iterator[Action]:
    wanted = {(path, frozenset(names), options) for path, names, options in desired.configuration.lines}
    for line in running.crt_list:
        key = (line.path, frozenset(line.names), line.options)
        if key not in wanted:
            yield RemoveCrtListLine(line)
        # A second one is not wanted any more.
        wanted.discard(key)


def _map_changes(desired: Desired, running: Running) -> Iterator[Action]:
    for path, entries in desired.configuration.maps.items():
        if running.maps.get(path) != entries:
            yield ReplaceMap(path, entries)


def _file_changes(desired: Desired, actual: Actual) -> Iterator[Action]:
    follows_anyway = (CRT_LIST, DEFAULT_LIST, TICKET_KEYS)
    for name, content in desired.configuration.files.items():
        if actual.files.get(name) != content and (name in follows_anyway or not _is_refused(desired, actual)):
            yield WriteFile(name, content)


def _verifications(desired: Desired, changed: Mapping[str, Bundle], actual: Actual) -> Iterator[Verify]:
    """Each bundle once in the agent's life, and again when it changes."""
    lines = actual.running.crt_list if actual.running else ()
    there = {(line.path, frozenset(line.names)) for line in lines}
    for path, names in desired.configuration.crt_list:
        bundle = desired.certificates[path]
        news = path in changed or (path, frozenset(names)) not in there
        if news or actual.seen.get(bundle.name) != bundle.serial:
            yield Verify(names[0], bundle, news)
    default = desired.certificates[desired.default_certificate]
    news = desired.default_certificate in changed
    if desired.shows_default and (news or actual.seen.get(default.name) != default.serial):
        yield Verify(None, default, news)


def _leftovers(desired: Desired, actual: Actual, reloads: bool) -> Iterator[Action]:
    """A worker that was just reloaded has nothing in memory that its crt-list does not name."""
    loaded = actual.running.certificates if actual.running and not reloads else {}
    for path in sorted({*actual.certificates, *loaded} - set(desired.certificates)):
        yield ForgetCertificate(path, path in loaded)
