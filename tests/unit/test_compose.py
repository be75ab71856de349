"""compose.yaml, .env.example and the declarations of the settings say the same."""

import re
from pathlib import Path

import pytest

from letsencrypt.settings import Settings as LetsencryptSettings
from proxy_agent.daemon import settings as environment
from proxy_agent.settings import Settings as AgentSettings

ROOT = Path(__file__).resolve().parents[2]


def _variables(model: type[environment.Settings]) -> set[str]:
    return {
        variable
        for variable, declaration in environment.fields(model)
        if not declaration.exclude and not environment.is_family(variable)
    }


@pytest.mark.parametrize(("service", "model"), [("haproxy", AgentSettings), ("letsencrypt", LetsencryptSettings)])
def test_compose_passes_every_documented_setting(service: str, model: type[environment.Settings]) -> None:
    """Whatever the README lists for a container reaches it, and nothing else does."""
    section = re.search(rf"^  {service}:\n(.*?)^  \S", (ROOT / "compose.yaml").read_text(), re.DOTALL | re.MULTILINE)
    assert section
    passed = re.findall(r"^      ([A-Z0-9_]+): \$\{([A-Z0-9_]+):-\}$", section[1], re.MULTILINE)
    assert {inside for inside, _ in passed} == _variables(model)
    assert all(inside == outside for inside, outside in passed)


def test_the_example_names_only_variables_that_exist() -> None:
    """Every line of .env.example that can be uncommented is a setting of a container or of compose.yaml."""
    compose = (ROOT / "compose.yaml").read_text()
    offered = set(re.findall(r"^#([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {"DOMAINS", "EMAIL", "OPTIONS"} <= offered
    assert offered <= set(re.findall(r"\$\{([A-Z0-9_]+):-", compose))


def test_logs_are_bounded_and_every_container_comes_back() -> None:
    """An attack fills neither the disk with lines, nor does a crash last."""
    services = (ROOT / "compose.yaml").read_text().split("\nservices:\n")[1].split("\nnetworks:\n")[0]
    common = (ROOT / "compose.yaml").read_text().split("\nservices:\n")[0]
    assert "  restart: unless-stopped\n" in common
    assert '  logging: { driver: "${LOG_DRIVER:-local}" }\n' in common
    names = re.findall(r"^  ([a-z-]+):$", services, re.MULTILINE)
    assert len(names) == services.count("<<: *unprivileged") == 3
