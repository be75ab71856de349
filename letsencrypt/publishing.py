"""Publishes what is held, says what stands against it, and remembers what is still to be written."""

import logging

from letsencrypt.edges import Publisher
from letsencrypt.lineages import Lineage
from letsencrypt.sentences import Sentences
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.log import Notices
from proxy_agent.tls.bundle import Bundle

log = logging.getLogger(__name__)


class Publishing:
    """For one directory, the *host* of its server; a certificate is never ordered again for what fails here."""

    def __init__(self, host: str, publisher: Publisher, sentences: Sentences) -> None:
        self._host = host
        self._publisher = publisher
        self._sentences = sentences
        self._notices = Notices(log)
        self.unwritten: set[str] = set()
        """The lineages whose bundle could not be written."""

    def publish(self, lineage: Lineage, tell: bool = False) -> None:
        """Publish what differs, and *tell* that; only while no run has the lineage, as certbot swaps one by one."""
        unfit: list[str] = []
        unwritten: list[str] = []
        try:
            published = self._publisher.publish(lineage)
            if published and tell:
                sentence = f"Published the certificate for {lineage}: {self.validity(published)}."
                self._sentences.say(logging.INFO, sentence)
        except ValueError as error:
            unfit.append(f"What is held for {lineage} is not published: {error}.")
        except OperationalError as error:
            unwritten.append(str(error))
        self._notices.update(f"the certificate held for {lineage}", unfit)
        self._notices.update(f"the publishing for {lineage}", unwritten, logging.ERROR)
        self._sentences.keep(unfit + unwritten)
        (self.unwritten.add if unwritten else self.unwritten.discard)(lineage.name)

    def held(self, lineage: Lineage) -> Bundle | None:
        """What certbot holds; None if that is nothing, or of no use."""
        try:
            return self._publisher.held(lineage)
        except ValueError:
            return None

    def validity(self, bundle: Bundle) -> str:
        """Until when it is valid, and who says so."""
        return f"valid until {bundle.not_after:%Y-%m-%d %H:%M} UTC, from {self._host}"
