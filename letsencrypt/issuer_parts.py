"""The issuer of one ACME directory, fitted to what it needs."""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from letsencrypt.adoption import AdoptingCheckup
from letsencrypt.advice import prepare_advice
from letsencrypt.budget import limits_of
from letsencrypt.certonly import PRODUCTION, STAGING, Directory, Folders, arguments, rehearsal, rehearsal_folders
from letsencrypt.checkup import Checkup
from letsencrypt.crew import Crew
from letsencrypt.edges import CertbotRunner, Edges
from letsencrypt.fallback_servers import options_at
from letsencrypt.forks import Certbot
from letsencrypt.health import Heartbeat
from letsencrypt.issuer import Issuer
from letsencrypt.lineages import Lineage
from letsencrypt.loadbalancer import LoadBalancer
from letsencrypt.permit import Permit
from letsencrypt.places import Places
from letsencrypt.preflight_command import preflight_of, resolver_of
from letsencrypt.preflight_gate import Gate
from letsencrypt.publish import Publisher
from letsencrypt.recovery import Outside
from letsencrypt.renewal_hooks import share_hooks
from letsencrypt.runner import Outcome
from letsencrypt.secret_options import run_hidden
from letsencrypt.settings import Settings
from letsencrypt.state_file import StateFile, state_folder
from letsencrypt.succession import Succession
from proxy_agent.daemon.wakeup import Wakeup


@dataclass(frozen=True)
class IssuerParts:
    """What the issuers of all directories share."""

    settings: Settings
    wakeup: Wakeup
    now: Callable[[], datetime]
    random: Callable[[], float]
    certbot: Certbot
    load_balancer: LoadBalancer
    succession: Succession
    rehearse: Callable[[Lineage], Outcome]

    def issuer(self, directory: Directory) -> Issuer:
        """The one for *directory*."""
        settings, now = self.settings, self.now
        config = directory.config_folder(settings.letsencrypt_folder)
        share_hooks(settings.letsencrypt_folder, config)
        folders = Folders(config, settings.run_folder / "work" / config.name, config / "logs", settings.webroot)
        options = options_at(settings.options, directory)
        names = frozenset(lineage.name for lineage in settings.domains.lineages)
        checkup = AdoptingCheckup(folders, directory, names, now)

        def words(lineage: Lineage, here: Folders = folders) -> list[str]:
            return arguments(self.succession.lent(directory, lineage), options, here, settings.email)

        gate = Gate(preflight_of(settings, directory, now), settings.preflight, settings.allow_subset)
        edges = Edges(
            certbot=_running(self.certbot, checkup, Places(folders), words),
            checkup=checkup,
            is_exempt=checkup.is_exempt,
            publisher=Publisher(config, settings.certs_folder, now),
            load_balancer=self.load_balancer,
            sleep=self.wakeup,
            crew=Crew(self.wakeup.ring),
            keeper=StateFile(state_folder(directory, settings.letsencrypt_folder)),
            configuration=lambda lineage: digest(words(lineage)),
            promise=Heartbeat(settings.heartbeat).promise,
            now=now,
            random=self.random,
            looking=Outside(directory.url, resolver_of(settings), now),
            preflight=gate,
            tell=gate.tell,
            rehearse=self.rehearse if directory.url == PRODUCTION else None,
        )
        fitted = self.succession.fitted(directory, edges)
        limits = limits_of(directory)
        return Issuer(directory.host, settings.renewal_interval, fitted, limits, settings.concurrency)


def _running(
    certbot: Certbot, checkup: AdoptingCheckup, places: Places, words: Callable[[Lineage, Folders], list[str]]
) -> CertbotRunner:
    """Has certbot look after a lineage, in one of *places*, with *words* and what the certificate held asks for."""

    def run(lineage: Lineage, permit: Permit) -> Outcome:
        with places.taken() as here:
            prepare_advice(here.config, lineage.name, permit.ask_anew)
            overdue = ["--force-renewal"] if checkup.is_overdue(lineage) else []
            return run_hidden(
                lambda command: certbot.run(command, here.work, permit.journal, permit.refusal),
                [*words(lineage, here), *permit.words, *overdue],
                here.work,
            )

    return checkup.keeping(run)


def rehearsals(settings: Settings, certbot: Certbot, now: Callable[[], datetime]) -> Callable[[Lineage], Outcome]:
    """Has names validated by the staging server; from any thread."""
    folders = rehearsal_folders(settings.letsencrypt_folder, settings.run_folder, settings.webroot)
    options = options_at(settings.options, Directory(STAGING))
    places = Places(folders)
    checkup = Checkup(folders, options.directory, (), now)
    first = threading.Lock()

    def rehearse(lineage: Lineage) -> Outcome:
        # Who finds no account registers one, so no two may look for it at a time.
        alone = contextlib.nullcontext() if checkup.registered() else first
        with alone, places.taken() as here:
            return certbot.run(rehearsal(lineage, options, here, settings.email), here.work)

    return rehearse


def digest(words: Iterable[str]) -> str:
    """A short name for *words*, which does not tell them."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
