"""The README says what the code says."""

import re

from tests.readme import README, with_tables


def test_the_tables_of_settings_are_the_declared_ones() -> None:
    """``make format`` writes them; whoever changes a setting and forgets that is told here."""
    text = README.read_text()
    assert text.count("<!-- settings:") == 2
    assert text == with_tables(text)


def test_defaults_are_said_as_an_operator_writes_them() -> None:
    """No word of Python's stands in a table."""
    assert re.findall(r"Undefined|\bNone\b|\bTrue\b|\bFalse\b|\(\)|Reading", README.read_text()) == []
