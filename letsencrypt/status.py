"""What is known of every certificate, read from the volumes alone: the loop need not run."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from letsencrypt.expiry import Nearness, nearness, warning
from letsencrypt.publish import is_held
from letsencrypt.revocation import Revocations
from letsencrypt.schedule import Failure
from letsencrypt.state import Record, State, parse_state
from letsencrypt.state_file import STATE_FOLDER, config_of
from proxy_agent.tls.bundle import Bundle, parse_bundle

_MOMENT = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True)
class CertificateStatus:
    """One certificate; moments are in UTC."""

    lineage: str
    names: tuple[str, ...]
    valid_until: datetime | None
    """Of what is published; None if nothing is."""
    source: str
    """The ACME server."""
    wanted: bool
    asked_by: tuple[str, ...]
    """Services, or DOMAINS."""
    outcome: str
    """The class of the last failure, else ok, or new."""
    reason: str
    attempts: int
    """Failures of this class in a row."""
    last_run: datetime | None
    next_try: datetime | None
    left_out: tuple[str, ...] = ()
    """Names that the CA could not validate, and that the others do not wait for."""
    revocation: str = ""
    """The reason why it is about to be revoked, or was without another in its place."""
    warning: str = ""
    """Where it is near its end, or past it: when that is, and why it was not renewed."""

    def __str__(self) -> str:
        until = f"valid until {self.valid_until:{_MOMENT}}" if self.valid_until else "no certificate"
        where = f", from {self.source}" if self.source else ""
        parts = [f"{', '.join(self.names)}: {until}{where}", *self._story()]
        line = "; ".join([*parts, f"wanted by {', '.join(self.asked_by)}" if self.wanted else "no longer wanted"])
        return "".join(c if c.isprintable() else "?" for c in line)

    def _story(self) -> Iterator[str]:
        if not self.wanted:
            return
        if self.warning:
            yield self.warning
        if self.outcome in {"ok", "new"}:
            yield "not tried yet" if self.outcome == "new" else f"well at {self.last_run:{_MOMENT}}"
        else:
            times = f" {self.attempts} times" if self.attempts > 1 else ""
            yield f"failed{times} ({self.outcome})" + ("" if self.warning else f": {self.reason}")
        if self.left_out:
            yield f"without {', '.join(self.left_out)} for now"
        if self.revocation:
            yield f"to be replaced and revoked ({self.revocation})"
        if self.next_try:
            yield f"next {'look' if self.outcome == 'ok' else 'try'} {self.next_try:{_MOMENT}}"


def read_status(root: Path, certs_folder: Path, now: datetime) -> tuple[list[CertificateStatus], list[str]]:
    """All that are wanted, and those that are still published, sorted; and what could not be read, in sentences."""
    lines: list[CertificateStatus] = []
    problems: list[str] = []
    for path in sorted(root.glob(f"{STATE_FOLDER}/*/state.json")):
        try:
            lines += _of_state(parse_state(path.read_bytes()), certs_folder, now, path.parent, root)
        except (OSError, ValueError) as error:
            problems.append(f"{path} cannot be used: {error}.")
    wanted = {line.lineage for line in lines if line.wanted}
    kept = {line.lineage: line for line in lines if not line.wanted and line.lineage not in wanted}
    for path, bundle in _published(certs_folder):
        if path.stem not in wanted and path.stem not in kept:
            kept[path.stem] = _leftover(path.stem, bundle)
    revocations = {each.lineage: str(each.reason) for each in Revocations(root).all()}
    lines = [line for line in lines if line.wanted] + list(kept.values())
    lines = [replace(line, revocation=revocations.get(line.lineage, "")) for line in lines]
    return sorted(lines, key=lambda line: (not line.wanted, line.lineage, line.source)), problems


def format_json(lines: Iterable[CertificateStatus]) -> str:
    """The same for machines; moments as in RFC 3339."""
    return json.dumps([asdict(line) for line in lines], indent=2, default=datetime.isoformat)


def _of_state(state: State, certs_folder: Path, now: datetime, folder: Path, root: Path) -> Iterator[CertificateStatus]:
    """What is published is told of the server that it came from, where several look after one certificate."""
    config = config_of(folder, root)
    for name, record in state.lineages.items():
        bundle = _read(certs_folder / f"{name}.pem")
        if record.wanted or bundle is not None:
            is_elsewhere = bundle is not None and record.wanted and _is_of_another(bundle, config, root)
            yield _status(name, record, state, None if is_elsewhere else bundle, now)


def _is_of_another(bundle: Bundle, config: Path, root: Path) -> bool:
    """Whether certbot holds *bundle* below *root*, but not in its folder *config*."""
    configs = [root, *root.glob("directories/*")]
    return not is_held(config, bundle.name, bundle.pem) and any(
        is_held(each, bundle.name, bundle.pem) for each in configs
    )


def _status(name: str, record: Record, state: State, bundle: Bundle | None, now: datetime) -> CertificateStatus:
    standing = record.standing
    if state.standing is not None and state.standing.not_before > now:
        standing = state.standing
    limits = [moment for scope, moment in state.scopes.items() if scope.partition(" ")[2] in record.names]
    failure: Failure | None = standing.failure
    return CertificateStatus(
        lineage=name,
        names=record.names,
        valid_until=bundle.not_after if bundle else None,
        source=state.directory,
        wanted=record.wanted,
        asked_by=record.services or ("DOMAINS",),
        outcome=str(failure) if failure else "ok" if record.last_run else "new",
        reason=standing.reason,
        attempts=standing.attempts.get(failure, 0) if failure else 0,
        last_run=record.last_run,
        next_try=max(standing.not_before, record.standing.not_before, *limits, now) if record.wanted else None,
        left_out=tuple(name for name in record.names if name in state.ailing),
        warning=_warning(bundle, now, standing.reason) if bundle and record.wanted else "",
    )


def _warning(bundle: Bundle, now: datetime, reason: str) -> str:
    if nearness(bundle.not_before, bundle.not_after, now) is Nearness.FAR:
        return ""
    return warning(bundle.not_after, now, reason.removesuffix("."))


def _leftover(name: str, bundle: Bundle) -> CertificateStatus:
    names = tuple(sorted(str(identifier) for identifier in bundle.identifiers))
    return CertificateStatus(name, names, bundle.not_after, "", False, (), "ok", "", 0, None, None)


def _published(certs_folder: Path) -> Iterator[tuple[Path, Bundle]]:
    for path in sorted(certs_folder.glob("[!.]*.pem")):
        if bundle := _read(path):
            yield path, bundle


def _read(path: Path) -> Bundle | None:
    try:
        return parse_bundle(path.stem, path.read_bytes())
    except (OSError, ValueError):
        return None
