"""What was written down in another time, well-formed as it may be: no moment in it ends a process that reads it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letsencrypt.budget import Spent
from letsencrypt.events import Certificate, Directory, Kind, Memory, Remembered, Seen, Snapshot, Trouble
from letsencrypt.expiry import Nearness
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.standing import Standing
from letsencrypt.state import Ailment, Record, State, format_state, parse_state
from letsencrypt.watch import EVENTS_FOLDER, Listeners, Watch
from tests.unit.fuzz.mangled import FEW
from tests.unit.letsencrypt.certificates import NOW
from tests.unit.letsencrypt.world import OK, world

HOST = "ca.example"
SEEN = "a.test"

FIRST, LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(8999, 12, 31, tzinfo=UTC)
"""Others are refused: the bounds of proxy_agent.daemon.moments."""
LONGEST = timedelta(days=36525)

moments = (
    st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None), timezones=st.just(UTC))
    | st.sampled_from([FIRST, LAST, NOW])
    | st.integers(-(10**6), 10**6).map(lambda seconds: NOW + timedelta(seconds=seconds))
)
pauses = st.timedeltas(-LONGEST, LONGEST) | st.sampled_from([timedelta(), LONGEST, -LONGEST, timedelta(hours=1)])
counts = st.integers(0, 10**6)
failures = st.none() | st.sampled_from(Failure)
standings = st.builds(
    Standing,
    not_before=moments,
    pause=pauses,
    attempts=st.dictionaries(st.sampled_from(Failure), counts, max_size=3),
    failure=failures,
    reason=st.text(max_size=10),
    repeated=st.booleans(),
    by_ca=st.booleans(),
)
records = st.builds(
    Record,
    names=st.sampled_from([(), (SEEN,), (SEEN, "b.test")]),
    configuration=st.sampled_from(["as it is", "as it was"]),
    wanted=st.booleans(),
    standing=standings,
    last_run=st.none() | moments,
)
spent = st.builds(
    Spent,
    time=moments,
    names=st.sampled_from([(), (SEEN,), (SEEN, "b.test")]),
    failed=st.sampled_from([(), (SEEN,)]),
    issued=st.booleans(),
    renewal=st.booleans(),
)
states = st.builds(
    State,
    version=st.just(1),
    directory=st.just(HOST),
    standing=st.none() | standings,
    scopes=st.dictionaries(st.sampled_from(["account", SEEN, "test"]), moments, max_size=2),
    lineages=st.dictionaries(st.sampled_from([SEEN, "gone.test"]), records, max_size=2),
    ailing=st.dictionaries(
        st.sampled_from([SEEN, "b.test"]),
        st.builds(Ailment, attempts=counts, not_before=moments, pause=pauses, reason=st.just("x")),
        max_size=2,
    ),
    spent=st.lists(spent, max_size=3).map(tuple),
)
troubles = st.builds(
    Trouble, since=moments, told=st.dictionaries(st.sampled_from(Kind), moments, max_size=2), last=moments
)
memories = st.builds(
    Memory,
    lineages=st.dictionaries(
        st.sampled_from([SEEN, "gone.test"]),
        st.builds(
            Remembered,
            fingerprint=st.sampled_from(["", "ab", "cd"]),
            names=st.just((SEEN,)),
            near=st.sampled_from(Nearness),
            warned=st.booleans(),
            trouble=st.none() | troubles,
        ),
        max_size=2,
    ),
    directories=st.dictionaries(st.sampled_from(["ca", "gone"]), troubles, max_size=2),
)


class Volumes:
    """What is there never changes."""

    def __init__(self, standing: Standing, all_of_it: Standing | None) -> None:
        certificate = Certificate("ab", (SEEN,), NOW - timedelta(days=80), NOW + timedelta(days=10))
        self._snapshot = Snapshot(
            seen=(Seen(SEEN, (SEEN,), "ca", standing),),
            directories={"ca": Directory(HOST, all_of_it)},
            certificates={SEEN: certificate},
            known=frozenset({SEEN}),
        )

    def look(self) -> Snapshot:
        """The same at each look."""
        return self._snapshot


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00", "1e999"])
def test_what_no_clock_told_is_refused(moment: str) -> None:
    """With a reason, as everything else that is no state; one could not even be compared with the time of day."""
    content = format_state(State(version=1, directory=HOST, scopes={"account": NOW}))
    whole = content.decode().replace(NOW.isoformat().replace("+00:00", "Z"), moment).encode()
    assert whole != content
    with pytest.raises(ValueError, match=r"scopes\.account: Input should "):
        parse_state(whole)


@settings(max_examples=FEW)
@given(states, st.lists(failures, max_size=3))
def test_an_issuer_goes_on_from_any_state(state: State, outcomes: list[Failure | None]) -> None:
    """Whatever moments and pauses were noted, the loop has cycles, and what came of them can be written and read."""
    here = world("a.test, b.test")
    here.configuration = lambda _lineage: "as it is"
    here.keeper.state = parse_state(format_state(state))
    issuer = here.issuer()
    for failure in (None, *outcomes):
        here.outcomes[SEEN] = OK if failure is None else Outcome(failure, "x", ordered=True)
        pause = issuer.cycle().pause
        assert timedelta() <= pause <= timedelta(minutes=5)
        here.time += max(pause, timedelta(seconds=1))
    issuer.retry_now()
    issuer.cycle()
    assert here.keeper.state is not None
    parse_state(format_state(here.keeper.state))


@settings(max_examples=FEW)
@given(memories, standings, st.none() | standings)
def test_events_follow_from_any_memory(memory: Memory, standing: Standing, all_of_it: Standing | None) -> None:
    """Whatever was told when, a look at the volumes ends, and what it remembers can be read by the next process."""
    with TemporaryDirectory() as folder:
        events = Path(folder) / EVENTS_FOLDER
        events.mkdir()
        (events / "memory.json").write_text(memory.model_dump_json())
        listeners = Listeners(urls=("https://hooks.test/",), kinds=frozenset(Kind))
        for _ in range(2):
            Watch(Volumes(standing, all_of_it), events, listeners, lambda: NOW, lambda _job: None).look()
        Memory.model_validate_json((events / "memory.json").read_bytes())
