"""What faults cost clients, as a table in Markdown; run with ``make chaos``."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from tests.certificate_authority import CertificateAuthority
from tests.chaos import dockerd, restarts, stacks
from tests.chaos.fault import Fault
from tests.chaos.rows import FAULTS
from tests.chaos.run import Outcome, outcome_of

_HEADINGS = (
    *("what happens", "times", "requests", "failed", "wrong certificates", "HTTP/2 streams asked again"),
    *("seconds until good: median", "worst", "equal to a cold start", "why not 0"),
)


@click.command()
@click.option("--only", default="", help="A part of the names of the rows to measure.")
@click.option("--times", type=int, help="How often each, in place of the number in the table.")
def main(only: str, times: int | None) -> None:
    """Measure and print row by row; exits with 1 if a request failed without a physical reason."""
    authority = CertificateAuthority()
    good = True
    click.echo(_measured_on())
    click.echo(f"\n{_line(_HEADINGS)}\n{_line('---' for _ in _HEADINGS)}")
    for fault in FAULTS:
        if only in fault.name:
            good = _printed(fault.name, partial(outcome_of, fault, times or fault.times, authority)) and good
    good = _of_stacks(stacks.serving, stacks.STACK_FAULTS, only, times) and good
    good = _of_stacks(restarts.serving, restarts.RESTARTS, only, times) and good
    raise SystemExit(0 if good else 1)


def _of_stacks(
    serving: Callable[[], AbstractContextManager[stacks.AnyStack]],
    faults: tuple[tuple[Fault, stacks.Act[stacks.AnyStack]], ...],
    only: str,
    times: int | None,
) -> bool:
    """Measure the rows of one stack, if any is asked for; whether all is well."""
    asked = [(fault, act) for fault, act in faults if only in fault.name]
    if not asked:
        return True
    try:
        with serving() as stack:
            # All of them, whatever came of those before.
            rows = [
                _printed(fault.name, partial(stacks.outcome_of, stack, fault, act, times or fault.times))
                for fault, act in asked
            ]
            return all(rows)
    except (AssertionError, dockerd.Unavailable) as error:
        for fault, _ in asked:
            click.echo(f"{fault.name}: not measured. {error}", err=True)
        return False


def _printed(name: str, row: Callable[[], Outcome]) -> bool:
    """Measure a row and print it; whether all is well."""
    try:
        outcome = row()
    except AssertionError as error:
        # Something did not come within its deadline: the other rows may.
        click.echo(f"{name}: {error}", err=True)
        return False
    click.echo(_line(_cells(outcome)))
    for words in _complaints(outcome):
        click.echo(words, err=True)
    return outcome.good


def _measured_on() -> str:
    memory = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    version = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, timeout=20, check=True).stdout
    gigabytes = int(memory[1]) / 1e6 if memory else 0
    release = " ".join(version.split()[:3])
    return f"`make chaos` on {os.cpu_count()} cores, {gigabytes:.0f} GB, {datetime.now(UTC):%Y-%m-%d}, {release}."


def _cells(outcome: Outcome) -> Iterator[str]:
    tally = outcome.tally
    yield from (outcome.fault.name, f"{outcome.times:,}", f"{tally.requests:,}")
    yield f"{tally.failures.total():,}"
    # The clients of a stack take any certificate and know nothing of HTTP/2.
    counts = () if outcome.differences is None else (tally.wrong_certificates.total(), tally.unprocessed)
    yield from (f"{count:,}" for count in counts) if counts else ("", "")
    yield from (f"{seconds:.2f}" for seconds in (outcome.median, max(outcome.seconds)))
    yield "" if outcome.differences is None else "no" if outcome.differences else "yes"
    yield outcome.fault.unavoidable if tally.failed else ""


def _complaints(outcome: Outcome) -> Iterator[str]:
    """What an engineer wants to know of a row."""
    for failures in (outcome.tally.failures, outcome.tally.wrong_certificates):
        for reason, count in failures.most_common(10):
            yield f"    {count} times {reason}"
    yield from (f"    {difference[:2000]}" for difference in outcome.differences or ())


def _line(cells: Iterator[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
