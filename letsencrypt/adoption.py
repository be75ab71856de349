"""What is held already is not ordered again: when lineages are renamed, split or shrunk, their certificates move along.

certbot orders at once when a lineage's names change (certbot/_internal/main.py _find_lineage_for_domains), and knows
nothing of a certificate for the same names under another lineage's name. Neither is worth an order: a certificate that
covers all that is wanted serves until it is due for renewal, and then exactly the wanted names are ordered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from letsencrypt.certonly import LETS_ENCRYPT
from letsencrypt.checkup import Checkup
from letsencrypt.edges import CertbotRunner
from letsencrypt.expiry import is_ending
from letsencrypt.lineages import Lineage
from letsencrypt.permit import Permit
from letsencrypt.publish import read_held
from letsencrypt.renewal_file import KINDS, copy_renewal_file
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole
from proxy_agent.tls.bundle import Bundle, check_issued
from proxy_agent.tls.names import Identifier

_ONLY_LOOKS = "the certificate is due, and is ordered for the wanted names alone"


@dataclass(frozen=True)
class AdoptingCheckup(Checkup):
    """A checkup that also looks for what is wanted among the lineages of other names."""

    kept: dict[str, str] = field(default_factory=dict)
    """The fingerprints of certificates that cover more than is wanted, and are not due."""

    def before(self, lineage: Lineage) -> list[str]:
        """Mend *lineage*, or take a certificate over into it; says what was done, raises OperationalError."""
        done = super().before(lineage)
        try:
            return [*done, *self._adopt(lineage)]
        except OSError as error:
            raise OperationalError(f"Cannot fill the lineage {lineage.name}: {error.strerror}.") from error

    def after(self, lineage: Lineage) -> Bundle:
        """What certbot now holds: a valid certificate for the wanted names, and for more only where that was kept."""
        held = self._valid(lineage.name)
        if held is None or self.kept.get(lineage.name) != held.fingerprint or not _covers(held, lineage):
            return super().after(lineage)
        return held

    def keeping(self, run: CertbotRunner) -> CertbotRunner:
        """*run*, but a certificate that covers more than is wanted is left alone until it is due."""

        def run_when_due(lineage: Lineage, permit: Permit) -> Outcome:
            held = self._valid(lineage.name)
            if held is None or not _covers(held, lineage) or held.identifiers == frozenset(lineage.identifiers):
                return run(lineage, permit)
            whole = replace(lineage, identifiers=_in_order(lineage, held))
            outcome = run(whole, replace(permit, refusal=_ONLY_LOOKS))
            if outcome.failure is Failure.BUDGET:
                self.kept.pop(lineage.name, None)
                return run(lineage, permit)
            self.kept[lineage.name] = held.fingerprint
            return outcome

        return run_when_due

    def is_exempt(self, name: str) -> bool:
        """Whether the order for a lineage says which certificate it replaces (replaces.py), to a CA that honours it.

        That is known of Let's Encrypt (https://letsencrypt.org/docs/rate-limits/#arirenewals).
        """
        return self.directory.url in LETS_ENCRYPT and self._valid(name) is not None

    def is_overdue(self, lineage: Lineage) -> bool:
        """Whether the certificate of *lineage* should have been renewed long ago, whatever the CA's advice was.

        An answer with a window after the certificate's end would otherwise be obeyed to the end.
        """
        held = self._valid(lineage.name)
        return held is not None and is_ending(held, self.now())

    def _adopt(self, lineage: Lineage) -> Iterator[str]:
        own = self._valid(lineage.name)
        if own is not None and _covers(own, lineage):
            return
        found = [bundle for bundle in self._others(lineage) if _covers(bundle, lineage)]
        if not found:
            return
        wanted = frozenset(lineage.identifiers)
        best = max(found, key=lambda bundle: (bundle.identifiers == wanted, bundle.not_after, bundle.name))
        self._copy(best.name, lineage.name)
        yield (
            f"The certificate {best.name} covers {lineage}, too: "
            f"it is taken over as {lineage.name}, and none is ordered before it is due."
        )

    def _others(self, lineage: Lineage) -> Iterator[Bundle]:
        """The valid certificates of this server under other names; nothing that is damaged or another server's."""
        for live in sorted((self.folders.config / "live").glob("*/")):
            if live.name == lineage.name or self._is_foreign(live.name) or self._fault(live.name):
                continue
            if bundle := self._valid(live.name):
                yield bundle

    def _valid(self, name: str) -> Bundle | None:
        try:
            bundle = read_held(self.folders.config, name)
            check_issued(bundle, (), self.now())
        except ValueError:
            return None
        return bundle

    def _copy(self, source: str, name: str) -> None:
        """Add what *source* holds to the lineage *name* as its newest version; what a crash leaves can be mended."""
        config = self.folders.config
        version = max(self._versions(name), default=0) + 1
        self._archived(name, "cert", version).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kind in KINDS:
            write_whole(self._archived(name, kind, version), (config / "live" / source / f"{kind}.pem").read_bytes())
        if not self._conf_is_sound(name):
            copy_renewal_file(config, source, name)
        self._relink(name)


def _covers(bundle: Bundle, lineage: Lineage) -> bool:
    return bundle.identifiers >= frozenset(lineage.identifiers)


def _in_order(lineage: Lineage, held: Bundle) -> tuple[Identifier, ...]:
    """The names of *held*, those of *lineage* first."""
    return (*lineage.identifiers, *sorted(held.identifiers.difference(lineage.identifiers), key=str))
