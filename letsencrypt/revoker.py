"""Carries revocations through, step by step beside the issuers, whatever ends in between."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from letsencrypt.revocation import Reason, Revocation, Revocations
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure, in_words, next_attempt
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole
from proxy_agent.tls.bundle import Bundle, parse_bundle

log = logging.getLogger(__name__)

_ALREADY = "alreadyRevoked"
"""RFC 8555 section 7.6."""


class Lineages(Protocol):
    """What the issuers know of a lineage."""

    def wants(self, name: str, /) -> bool:
        """Whether it is looked after."""
        ...

    def tried(self, name: str, since: datetime, /) -> bool:
        """Whether an attempt at it ended, well or not, since then, wherever it is looked after."""
        ...

    def is_busy(self, name: str, /) -> bool:
        """Whether it is being worked on, so that what is held changes."""
        ...

    def forget(self, name: str, /) -> str:
        """Remove it for good; what was done, in a sentence."""
        ...


@dataclass(frozen=True)
class Revoker:
    """The work on what Revocations keeps."""

    revocations: Revocations
    certs: Path
    work: Path
    """A folder in memory: the keys in it are gone with the container."""
    certbot: Callable[[Sequence[str], Path], Outcome]
    now: Callable[[], datetime]
    random: Callable[[], float]

    def ask(self, name: str, reason: Reason, drop: bool) -> Revocation:
        """Begin; raises ValueError with the reason why there is nothing to begin with, and OperationalError."""
        under_way = [each for each in self.revocations.all() if each.lineage == name and not each.revoked]
        if under_way:
            changes = {"reason": reason, "drop": drop, "not_before": self.now()}
            self.revocations.save(under_way[0].model_copy(update=changes))
            return under_way[0]
        return self.revocations.ask(name, self._published(name), reason, drop, self.now())

    def fresh_ones(self) -> set[str]:
        """The lineages whose next order must be for another key, as what they hold is to be revoked, or was."""
        return {each.lineage for each in self.revocations.all() if each.is_of(self._held(each))}

    def proceed(self, lineages: Lineages) -> None:
        """Do what can be done now; a line for each step. Takes at most one run of certbot for each revocation."""
        for revocation in self.revocations.all():
            if lineages.is_busy(revocation.lineage):
                continue
            try:
                self._proceed(revocation, lineages)
            except OperationalError as error:
                log.error("%s", error)

    def pause(self) -> timedelta | None:
        """Until something can be done again by itself; None: for ever."""
        waits = [each.not_before - self.now() for each in self.revocations.all() if not each.revoked]
        return max(min(waits), timedelta(seconds=5)) if waits else None

    def _proceed(self, revocation: Revocation, lineages: Lineages) -> None:
        name, held = revocation.lineage, self._held(revocation)
        wanted = lineages.wants(name)
        if revocation.is_of(held) and revocation.is_given_up(wanted, self.now()):
            log.info("%s", lineages.forget(name))
            held = None
        tried = lineages.tried(name, revocation.asked)
        if revocation.is_ripe(held, tried, wanted, self.now()):
            revocation = self._revoke(revocation, bool(held and not revocation.is_of(held)), wanted)
        if revocation.revoked and not revocation.is_of(held):
            self.revocations.finish(revocation)

    def _revoke(self, revocation: Revocation, succeeded: bool, wanted: bool) -> Revocation:
        """One attempt, and what is told of it; the revocation as it is then."""
        outcome = self._run(revocation)
        names = ", ".join(sorted(map(str, revocation.bundle.identifiers)))
        host = urlsplit(revocation.server).netloc
        what = f"the certificate for {names} at {host} ({revocation.reason})"
        if outcome.failure is None or outcome.code == _ALREADY:
            changed = revocation.model_copy(update={"revoked": self.now(), "problem": ""})
            self.revocations.save(changed)
            if wanted and not succeeded:
                log.error("Revoked %s, and there is no other yet: it stays in service until then.", what)
            else:
                log.info("Revoked %s.", what)
            return changed
        attempts = revocation.attempts + 1
        moment = next_attempt(Failure.SERVER, attempts, self.now(), self.random, outcome.retry_after)
        problem = outcome.detail or outcome.code or "it did not say why"
        changes = {"attempts": attempts, "not_before": moment, "problem": problem}
        changed = revocation.model_copy(update=changes)
        self.revocations.save(changed)
        level = logging.DEBUG if problem == revocation.problem else logging.ERROR
        log.log(level, "Cannot revoke %s: %s. Next try in %s.", what, problem, in_words(moment - self.now()))
        return changed

    def _run(self, revocation: Revocation) -> Outcome:
        """In folders of its own, so that no other run is in the way; only the accounts are those of the CA's."""
        with self._folder(revocation) as folder:
            return self.certbot(revocation.words(folder), folder)

    @contextlib.contextmanager
    def _folder(self, revocation: Revocation) -> Iterator[Path]:
        """Certificate and key as files, as long as they are needed."""
        shutil.rmtree(self.work, ignore_errors=True)
        try:
            self.work.mkdir(mode=0o700, parents=True)
            (self.work / "accounts").symlink_to(self.revocations.config(revocation) / "accounts")
            key, chain = revocation.key_and_chain
            write_whole(self.work / "key.pem", key)
            write_whole(self.work / "cert.pem", chain)
            yield self.work
        except OSError as error:
            raise OperationalError(f"Cannot make ready in {self.work}: {error.strerror}.") from error
        finally:
            shutil.rmtree(self.work, ignore_errors=True)

    def _held(self, revocation: Revocation) -> Bundle | None:
        """What its lineage holds, else what is in service."""
        published = self._published(revocation.lineage)
        return self.revocations.held(revocation, published) or published

    def _published(self, name: str) -> Bundle | None:
        try:
            return parse_bundle(name, (self.certs / f"{name}.pem").read_bytes())
        except (OSError, ValueError):
            return None
