"""The parts of the letsencrypt container, each fitted to what it needs."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime

from letsencrypt.adoption import AdoptingCheckup
from letsencrypt.budget import limits_of
from letsencrypt.certonly import (
    PRODUCTION,
    STAGING,
    Directory,
    Folders,
    arguments,
    rehearsal,
    rehearsal_folders,
)
from letsencrypt.control import Control
from letsencrypt.discovery import source_of
from letsencrypt.edges import Edges
from letsencrypt.fallback_servers import options_at
from letsencrypt.health import Heartbeat
from letsencrypt.issuer import Issuer
from letsencrypt.issuers import Issuers
from letsencrypt.leftovers import Leftovers
from letsencrypt.lineages import Lineage
from letsencrypt.loadbalancer import LoadBalancer
from letsencrypt.loop import Loop
from letsencrypt.preflight_command import preflight_of
from letsencrypt.preflight_gate import Gate
from letsencrypt.publish import Publisher
from letsencrypt.records import Permit
from letsencrypt.runner import Certbot, Outcome
from letsencrypt.secret_options import run_hidden
from letsencrypt.settings import Settings
from letsencrypt.state_file import StateFile, let_go, state_folder
from letsencrypt.succession import Succession
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from proxy_agent.daemon.wakeup import Wakeup


def wire(
    settings: Settings, wakeup: Wakeup, now: Callable[[], datetime], random: Callable[[], float]
) -> tuple[ChallengeServer, Loop]:
    """The challenge server, which listens already, and the loop; raises OperationalError if it cannot listen."""
    challenges = ChallengeFolder(settings.webroot)
    challenges.prepare()
    load_balancer = LoadBalancer(settings.load_balancer, challenges, wakeup)
    promise = Heartbeat(settings.heartbeat).promise
    succession = _succession(settings, now)
    certbot = Certbot(now)

    def issuer_of(directory: Directory) -> Issuer:
        config = directory.config_folder(settings.letsencrypt_folder)
        work = settings.run_folder / "work" / config.name
        folders = Folders(config, work, config / "logs", settings.webroot)
        options = options_at(settings.options, directory)
        names = frozenset(lineage.name for lineage in settings.domains.lineages)

        checkup = AdoptingCheckup(folders, directory, names, now)

        def words(lineage: Lineage) -> list[str]:
            return arguments(succession.lent(directory, lineage), options, folders, settings.email)

        def run_certbot(lineage: Lineage, permit: Permit) -> Outcome:
            command = [*words(lineage), *(["--force-renewal"] if checkup.is_overdue(lineage) else ())]
            outcome = run_hidden(lambda c: certbot.run(c, work, permit.journal, permit.refusal), command, work)
            if outcome.failure:
                checkup.forget_advice(lineage)
            return outcome

        edges = Edges(
            certbot=checkup.keeping(run_certbot),
            checkup=checkup,
            publisher=Publisher(config, settings.certs_folder, now),
            load_balancer=load_balancer,
            sleep=wakeup,
            keeper=StateFile(state_folder(directory, settings.letsencrypt_folder)),
            configuration=lambda lineage: digest(words(lineage)),
            promise=promise,
            now=now,
            random=random,
            preflight=Gate(preflight_of(settings, directory, now), settings.preflight, settings.allow_subset),
            rehearse=_rehearsals(settings, certbot) if directory.url == PRODUCTION else None,
        )
        fitted = succession.fitted(directory, edges)
        return Issuer(directory.host, settings.renewal_interval, fitted, limits_of(directory))

    let_go(settings.letsencrypt_folder)
    return ChallengeServer(challenges, settings.challenge_port), _loop(settings, issuer_of, wakeup, now, succession)


def _rehearsals(settings: Settings, certbot: Certbot) -> Callable[[Lineage], Outcome]:
    """Has names validated by the staging server."""
    aside = rehearsal_folders(settings.letsencrypt_folder, settings.run_folder, settings.webroot)
    options = options_at(settings.options, Directory(STAGING))

    def rehearse(lineage: Lineage) -> Outcome:
        aside.work.mkdir(parents=True, exist_ok=True)
        return certbot.run(rehearsal(lineage, options, aside, settings.email), aside.work)

    return rehearse


def _succession(settings: Settings, now: Callable[[], datetime]) -> Succession:
    def held(directory: Directory) -> Publisher:
        return Publisher(directory.config_folder(settings.letsencrypt_folder), settings.certs_folder, now)

    return Succession(settings.options.directory, settings.fallbacks, held, now)


def _loop(
    settings: Settings,
    issuer_of: Callable[[Directory], Issuer],
    wakeup: Wakeup,
    now: Callable[[], datetime],
    succession: Succession,
) -> Loop:
    """The loop around all issuers, with what is asked of it from outside."""
    source = source_of(settings, now)
    leftovers = Leftovers(settings.certs_folder, settings.letsencrypt_folder, now)
    return Loop(
        source.lineages,
        Issuers(issuer_of, succession),
        lambda: leftovers.withdraw(source.names()),
        wakeup,
        Heartbeat(settings.heartbeat).promise,
        now,
        Control(settings.control_folder),
        leftovers.forget,
    )


def digest(words: Iterable[str]) -> str:
    """A short name for *words*, which does not tell them."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
