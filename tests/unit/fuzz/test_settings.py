"""Whatever the environment says: settings, or a line for each variable that cannot be used."""

import time
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt import settings as letsencrypt_settings
from proxy_agent import settings as agent_settings
from proxy_agent.daemon import settings as environment
from proxy_agent.daemon.settings import SettingsError
from tests.unit.fuzz.mangled import texts

GOOD = ("yes", "80", "90s", "10.0.0.0/8", "a.test,b.test;c.test", "GET /", "x y, z", "https://a.test/dir", "1,2 = 3")


@pytest.mark.parametrize(
    ("model", "load"),
    [(agent_settings.Settings, agent_settings.load), (letsencrypt_settings.Settings, letsencrypt_settings.load)],
)
@given(data=st.data())
def test_no_variable_breaks_the_reading_of_all(
    model: type[environment.Settings], load: Callable[[Mapping[str, str]], object], data: st.DataObject
) -> None:
    """Each by itself and several at a time, soon; the reasons fit a screen."""
    names = sorted(name for name, field in environment.fields(model) if not field.exclude)
    variables = st.dictionaries(st.sampled_from(names), texts(*GOOD).filter(lambda text: "\0" not in text), max_size=4)
    environ = data.draw(variables)
    begun = time.process_time()
    try:
        load(environ)
    except SettingsError as error:
        lines = str(error).splitlines()
    else:
        lines = []
    assert max(map(len, lines), default=0) < 3000
    assert time.process_time() - begun < 3
