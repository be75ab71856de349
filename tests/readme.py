"""Writes the README's tables of settings from their declarations: ``make format`` runs it."""

import re
from pathlib import Path

from letsencrypt.settings import Settings as LetsencryptSettings
from proxy_agent.daemon.settings import manual
from proxy_agent.settings import Settings as AgentSettings

README = Path(__file__).resolve().parents[1] / "README.md"
MODELS = {"letsencrypt": LetsencryptSettings, "proxy_agent": AgentSettings}


def with_tables(text: str) -> str:
    """*text* with the table of each model between its markers."""
    for name, model in MODELS.items():
        begin, end = f"<!-- settings:{name} -->\n", f"<!-- /settings:{name} -->"
        text = re.sub(f"{begin}.*?{end}", lambda _, table=manual(model): f"{begin}{table}{end}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
