"""The README says what the code says."""

from tests.readme import README, with_tables


def test_the_tables_of_settings_are_the_declared_ones() -> None:
    """``make format`` writes them; whoever changes a setting and forgets that is told here."""
    text = README.read_text()
    assert text.count("<!-- settings:") == 2
    assert text == with_tables(text)
