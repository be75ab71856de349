"""Where the operator's wishes are taken, obeyed and answered, beside the loop's own work."""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from letsencrypt.control import DROP, FORCE, Answer, Control, Order, Verb
from letsencrypt.discovery import Lineages
from letsencrypt.issuer import Issuer
from letsencrypt.manual import Commissions, parse_request
from letsencrypt.revocation import FRESH, Reason
from letsencrypt.revoker import Revoker
from letsencrypt.schedule import in_words
from letsencrypt.succession import Succession
from proxy_agent.daemon.errors import OperationalError

log = logging.getLogger(__name__)

_FORCED = ("--force-renewal",)


class Desk:
    """Serves all commands; each wish is told in the log, and answered when it is known what came of it."""

    def __init__(
        self,
        control: Control,
        wanted: Callable[[], Lineages],
        commissions: Commissions,
        revoker: Revoker,
        succession: Succession,
        forget: Callable[[str], str],
        now: Callable[[], datetime],
    ) -> None:
        self._control = control
        self._wanted = wanted
        self._commissions = commissions
        self._revoker = revoker
        self._succession = succession
        self._forget = forget
        self._now = now
        self._issuers: Sequence[Issuer] = ()
        self._taken: list[Order] = []
        """What was taken, and was not obeyed yet."""
        self._open: dict[Order, datetime] = {}
        """What was obeyed, and since when it is not known what came of it."""
        self._verbs = {
            Verb.ISSUE: self._issue,
            Verb.RETRY: self._retry,
            Verb.RENEW: self._renew,
            Verb.REVOKE: self._revoke,
            Verb.FORGET: self._forget_one,
        }

    @property
    def is_waiting(self) -> bool:
        """Whether anything was asked that was not taken yet, or can be done now."""
        return self._control.is_waiting or any(not self.is_busy(order.name) for order in self._taken)

    def take(self) -> None:
        """Take what was asked, and do what changes what is wanted; to be called before a look at that."""
        for order in self._control.take():
            try:
                self._prepare(order)
                self._taken.append(order)
            except (ValueError, OperationalError) as error:
                self._refuse(order, error)

    def obey(self, issuers: Iterable[Issuer]) -> None:
        """Do what was taken, now that *issuers* know what is wanted; to be called before their cycles.

        What concerns a lineage that has an attempt under way waits for its end.
        """
        self._issuers = tuple(issuers)
        orders, self._taken = self._taken, []
        for order in orders:
            if self.is_busy(order.name):
                self._taken.append(order)
                continue
            try:
                sentence = self._verbs[order.verb](order)
            except (ValueError, OperationalError) as error:
                self._refuse(order, error)
                continue
            log.info("%s", sentence)
            if order.verb is Verb.FORGET:
                self._answer(order, Answer(text=sentence))
            else:
                self._open[order] = self._now()
        fresh_ones = self._revoker.fresh_ones()
        self._succession.press(fresh_ones)
        for name in fresh_ones:
            for issuer in self._of(name):
                issuer.records.insist(name, FRESH)

    def conclude(self) -> timedelta | None:
        """Go on with revocations, answer what can be answered now, and say after what pause there is more to do."""
        self._revoker.proceed(self)
        for order, asked in list(self._open.items()):
            if answer := self._outcome(order, asked):
                del self._open[order]
                self._answer(order, answer)
        return self._revoker.pause()

    def wants(self, name: str) -> bool:
        """Whether the lineage *name* is looked after."""
        return bool(self._of(name))

    def tried(self, name: str, since: datetime) -> bool:
        """Whether an attempt at it ended since then, well or not, at each server that looks after it."""
        return self.wants(name) and all(_tried(issuer, name, since) for issuer in self._of(name))

    def is_busy(self, name: str) -> bool:
        """Whether it has an attempt under way: nothing may be done to it now."""
        return any(name in issuer.under_way for issuer in self._issuers)

    def forget(self, name: str) -> str:
        """Remove all of the lineage *name*, which nobody wants; what was done, in a sentence."""
        sentence = self._forget(name)
        for issuer in self._issuers:
            issuer.forget(name)
        return sentence

    def _prepare(self, order: Order) -> None:
        if order.verb is Verb.ISSUE:
            lineages = (lineage for each in self._wanted().values() for lineage in each)
            self._commissions.add(parse_request(order.words[0]), lineages)
        elif order.verb is Verb.FORGET or DROP in order.words:
            self._commissions.remove(order.name)
        elif order.verb in {Verb.RETRY, Verb.REVOKE} or FORCE in order.words:
            self._succession.recall(order.name)

    def _issue(self, order: Order) -> str:
        return f"The certificate {order.name} is wanted from now on, as asked, until it is forgotten."

    def _retry(self, order: Order) -> str:
        return " ".join(issuer.retry(order.name) for issuer in self._wanting(order.name))

    def _renew(self, order: Order) -> str:
        if FORCE in order.words:
            return " ".join(self._force(issuer, order.name) for issuer in self._wanting(order.name))
        for issuer in self._wanting(order.name) if order.name else self._issuers:
            for name in (order.name,) if order.name else issuer.names:
                issuer.records.timetable.retry(name)
        what = f"of the certificate {order.name}" if order.name else "of any certificate"
        return f"It is looked now whether a renewal {what} is due, as asked."

    def _force(self, issuer: Issuer, name: str) -> str:
        left = issuer.records.left(name)
        if left < 1:
            raise ValueError(f"no further certificate for the names of {name} fits the CA's limit within seven days")
        issuer.records.insist(name, _FORCED)
        more = f"then there are {left - 1} more for the same names within seven days"
        return f"{issuer.retry(name)} It is a renewal before its time; {more}."

    def _revoke(self, order: Order) -> str:
        reason, drop = Reason(order.words[0]), DROP in order.words
        wanted = self._of(order.name)
        if drop and wanted:
            raise ValueError(f"{order.name} is still wanted, so it cannot be dropped")
        if not drop and not wanted:
            raise ValueError(f"nobody wants {order.name} any more: it can be revoked and dropped, with --drop")
        self._revoker.ask(order.name, reason, drop)
        for issuer in wanted:
            issuer.retry(order.name)
        then = "and dropped" if drop else "and another takes its place, with a new key"
        return f"The certificate {order.name} is revoked ({reason}), as asked, {then}."

    def _forget_one(self, order: Order) -> str:
        if self._of(order.name):
            raise ValueError(f"the certificate {order.name} is not forgotten, as it is still wanted")
        return self.forget(order.name)

    def _wanting(self, name: str) -> list[Issuer]:
        issuers = self._of(name)
        if not issuers:
            raise ValueError(f"nobody wants a certificate {name[:100]!r}")
        return issuers

    def _of(self, name: str) -> list[Issuer]:
        return [issuer for issuer in self._issuers if name in issuer.names]

    def _outcome(self, order: Order, asked: datetime) -> Answer | None:
        """What came of *order*; None as long as that is not known."""
        names = [order.name] if order.name else sorted({name for issuer in self._issuers for name in issuer.names})
        answers = [self._outcome_of(name, asked) for name in names]
        if order.verb is Verb.REVOKE and (answer := self._revoked(order)):
            return answer
        if order.verb is Verb.REVOKE or None in answers:
            return None
        known = [answer for answer in answers if answer]
        text = " ".join(answer.text for answer in known) or "No certificate is wanted."
        return Answer(text=text, is_well=all(answer.is_well for answer in known))

    def _outcome_of(self, name: str, asked: datetime) -> Answer | None:
        if not self.wants(name):
            return Answer(text=f"Nobody wants the certificate {name} any more.", is_well=False)
        for issuer in self._of(name):
            table = issuer.records.timetable
            standing = table.directory if table.held_up else table.standing(name)
            wait = in_words(max(table.moment(name), standing.not_before) - self._now())
            if not _tried(issuer, name, asked):
                if not table.held_up and table.moment(name) <= self._now():
                    return None
                return Answer(text=f"{name} has to wait for {wait}: {standing.reason}.", is_well=False)
            if standing.failure:
                return Answer(
                    text=f"{name} ({standing.failure}): {standing.reason}. Next try in {wait}.", is_well=False
                )
        return Answer(text=f"The certificate {name} is well.")

    def _revoked(self, order: Order) -> Answer | None:
        """What is known of the revocation that *order* began: its file is gone when nothing is left to do."""
        found = [each for each in self._revoker.revocations.all() if each.lineage == order.name]
        if not found:
            then = "and dropped it" if DROP in order.words else "and put another in its place"
            return Answer(text=f"Revoked the certificate {order.name} ({order.words[0]}), {then}.")
        if found[0].revoked:
            text = f"Revoked the certificate {order.name} ({order.words[0]}), but there is no other yet."
            return Answer(text=text, is_well=False)
        if found[0].problem:
            return Answer(text=f"{order.name} is not revoked yet: {found[0].problem}.", is_well=False)
        if self.tried(order.name, found[0].asked) and found[0].reason is Reason.SUPERSEDED:
            return Answer(text=f"{order.name} is revoked as soon as there is another, which failed.", is_well=False)
        return None

    def _refuse(self, order: Order, error: Exception) -> None:
        text = f"Asked to {order.verb} {order.name[:100]}: {str(error).removesuffix('.')}."
        log.warning("%s", text)
        self._answer(order, Answer(text=text, is_well=False))

    def _answer(self, order: Order, answer: Answer) -> None:
        try:
            self._control.answer(order, answer)
        except OperationalError as error:
            log.error("%s", error)


def _tried(issuer: Issuer, name: str, since: datetime) -> bool:
    end = issuer.records.timetable.ended.get(name)
    return end is not None and end >= since
