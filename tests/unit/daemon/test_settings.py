"""proxy_agent.daemon.settings."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from proxy_agent.daemon.settings import (
    Duration,
    Settings,
    SettingsError,
    accepts,
    fields,
    is_family,
    load,
    manual,
    parse_duration,
)


class Example(Settings):
    """Settings of some container."""

    interval: Duration = Field(
        alias="INTERVAL",
        default=timedelta(hours=12),
        description="How often.",
        json_schema_extra={"accepts": "a length of time such as 12h", "default_text": "12h"},
    )
    switch: bool | None = Field(
        alias="SWITCH", default=None, description="Whether.", json_schema_extra={"accepts": "yes or no"}
    )
    flavour: Literal["sweet", "sour"] = Field(alias="FLAVOUR", default="sweet", description="Which.")
    name: str = Field(alias="NAME", default="companion", description="Who.")
    port: int = Field(alias="PORT", default=80, exclude=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("12h", 43_200), ("1d", 86_400), (" 12 H ", 43_200), ("0s", 0)],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    """Seconds, minutes, hours or days; blanks and case do not matter."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "12", "h", "-1h", "1.5h", "1h30m", "1w", "12hours", "9999999s", "1 h\nx"])
def test_a_number_alone_is_no_duration(text: str) -> None:
    """Nobody has to guess whether 12 means hours."""
    with pytest.raises(ValueError, match="a number with a unit: 90s, 15m, 12h or 1d"):
        parse_duration(text)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    """Whatever stands in the environment, the answer is a length of time or a refusal."""
    try:
        length = parse_duration(text)
    except ValueError:
        return
    assert length >= timedelta(0)


def test_an_unset_variable_has_its_default() -> None:
    """And variables that are not ours are nobody's business here."""
    settings = load(Example, {"PATH": "/bin"})
    assert (settings.interval, settings.switch, settings.flavour) == (timedelta(hours=12), None, "sweet")


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_variable_counts_as_unset(empty: str) -> None:
    """compose.yaml passes ``${NAME:-}`` through."""
    assert load(Example, {"NAME": empty, "SWITCH": empty, "INTERVAL": empty}) == load(Example, {})


def test_blanks_around_a_value_are_not_part_of_it() -> None:
    """A line of an .env file may end in a blank."""
    assert load(Example, {"NAME": " a.test "}).name == "a.test"


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("TRUE", True), ("1", True), ("no", False), ("off", False)])
def test_a_switch_is_spelled_as_people_spell_it(text: str, value: bool) -> None:
    """``FORCE_SSL=no`` means no, unlike in the companion this one replaces."""
    assert load(Example, {"SWITCH": text}).switch is value


def test_variables_are_named_by_alias_only() -> None:
    """A variable that happens to be called like a field of ours is none."""
    assert load(Example, {"name": "x", "flavour": "sour"}) == load(Example, {})


def test_all_problems_are_reported_together() -> None:
    """One start tells everything: variable, value and accepted form of each."""
    with pytest.raises(SettingsError) as problems:
        load(Example, {"INTERVAL": "12", "SWITCH": "maybe", "FLAVOUR": "bitter", "PORT": "http"})
    lines = str(problems.value).splitlines()
    assert lines[0] == (
        "INTERVAL='12' cannot be used: a length of time is a number with a unit: 90s, 15m, 12h or 1d "
        "(accepted: a length of time such as 12h)."
    )
    assert lines[1].startswith("SWITCH='maybe' cannot be used: ")
    assert lines[1].endswith(" (accepted: yes or no).")
    assert lines[2] == "FLAVOUR='bitter' cannot be used: Input should be 'sweet' or 'sour'."
    assert lines[3].startswith("PORT='http' cannot be used: ")
    assert len(lines) == 4


def test_settings_do_not_change() -> None:
    """Read once, frozen."""
    settings = load(Example, {})
    with pytest.raises(ValidationError, match="frozen"):
        settings.name = "other"  # type: ignore[misc]  # that is the point


def test_the_manual_is_a_table_of_what_the_user_may_set() -> None:
    """Variable, default, meaning with the accepted form; what the image fixes is not in it."""
    assert manual(Example) == (
        "| variable | default | meaning |\n"
        "| --- | --- | --- |\n"
        "| `INTERVAL` | `12h` | How often. Accepts a length of time such as 12h. |\n"
        "| `SWITCH` | – | Whether. Accepts yes or no. |\n"
        "| `FLAVOUR` | `sweet` | Which. |\n"
        "| `NAME` | `companion` | Who. |\n"
    )


class Families(Settings):
    """Variables whose names end as the user likes."""

    by_port: Mapping[str, str] = Field(alias="LINES_<PORT>", default={}, description="Which.")
    by_port_in_files: Mapping[str, str] = Field(alias="LINES_FILE_<PORT>", default={}, description="Where.")


def test_a_family_of_variables_is_read_by_the_end_of_its_names() -> None:
    """The longer beginning wins; a name without an end, or without a value, is none of them."""
    given = {"LINES_80": "a", "LINES_81": " b ", "LINES_FILE_80": "c", "LINES_": "d", "LINES_82": " ", "OTHER_80": "e"}
    settings = load(Families, given)
    assert settings.by_port == {"80": "a", "81": "b"}
    assert settings.by_port_in_files == {"80": "c"}
    assert load(Families, {"LINES_<PORT>": "x"}).by_port == {"<PORT>": "x"}
    assert [name for name, _ in fields(Families) if is_family(name)] == ["LINES_<PORT>", "LINES_FILE_<PORT>"]


def test_fields_are_listed_by_variable_in_the_order_of_declaration() -> None:
    """The manual has an author's order, not the alphabet's."""
    declared = dict(fields(Example))
    assert list(declared) == ["INTERVAL", "SWITCH", "FLAVOUR", "NAME", "PORT"]
    assert (accepts(declared["SWITCH"]), accepts(declared["NAME"])) == ("yes or no", "")
