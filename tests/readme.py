"""Writes the README's tables of settings from their declarations: ``make format`` runs it."""

from pathlib import Path

from letsencrypt.settings import Settings as LetsencryptSettings
from proxy_agent.daemon.settings import Settings, manual
from proxy_agent.settings import Settings as AgentSettings

README = Path(__file__).resolve().parents[1] / "README.md"
MODELS: dict[str, type[Settings]] = {"letsencrypt": LetsencryptSettings, "proxy_agent": AgentSettings}


def with_tables(text: str) -> str:
    """*text* with the table of each model between its markers."""
    for name, model in MODELS.items():
        before, begin, rest = text.partition(f"<!-- settings:{name} -->\n")
        _, end, after = rest.partition(f"<!-- /settings:{name} -->")
        text = before + begin + manual(model) + end + after
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
