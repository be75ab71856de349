"""The loop, with everything outside of it played by fakes of the Protocols it declares."""

from dataclasses import replace
from datetime import timedelta

import pytest

from letsencrypt.issuer import PUBLISH_AGAIN, RESYNC
from letsencrypt.lineages import Lineage, parse_domains
from letsencrypt.preflight_gate import HEALS
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from proxy_agent.daemon.errors import OperationalError, Skipped
from tests.certificate_authority import CertificateAuthority
from tests.unit.letsencrypt.certificates import NOW, bundle, issue
from tests.unit.letsencrypt.world import INTERVAL, UNTIL, errors, world


def test_the_first_cycle_issues_and_publishes_all() -> None:
    """Each certificate is ordered, published at once, and told in one sentence; then there is a long pause."""
    these = world("a.example, b.example; c.example")

    report = these.issuer().cycle()

    assert report.sentences == (
        f"Issued a certificate for a.example, b.example: {UNTIL}.",
        f"Issued a certificate for c.example: {UNTIL}.",
    )
    assert these.published == these.held
    assert report.pause == RESYNC


def test_nothing_to_do_is_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    """When certbot finds nothing due and all is published, there is no line and no sentence."""
    these = world("a.example")
    these.issuer().cycle()
    these.outcomes["a.example"] = None
    caplog.clear()

    report = these.issuer().cycle()

    assert report.sentences == ()
    assert caplog.messages == []
    assert these.runs == ["a.example", "a.example"]


def test_certbot_is_asked_again_when_the_interval_is_over() -> None:
    """Between two looks certbot does not run; after the interval a renewal is told and published."""
    these = world("a.example")
    issuer = these.issuer()
    issuer.cycle()

    these.time += INTERVAL - timedelta(seconds=1)
    assert issuer.cycle().sentences == ()
    these.time += timedelta(seconds=1)
    assert issuer.cycle().sentences == (f"Renewed the certificate for a.example: {UNTIL}.",)
    assert these.published == these.held
    assert len(these.runs) == 2


def test_what_is_held_is_published_before_anything_is_waited_for() -> None:
    """A restart publishes what certbot has, although the load balancer does not pass challenges on."""
    these = world("a.example")
    these.held["a.example"] = bundle("a.example", issue(["a.example"]))
    these.passes = False

    report = these.issuer().cycle()

    assert report.sentences == (f"Published the certificate for a.example: {UNTIL}.",)
    assert these.published == these.held
    assert these.runs == []


def test_nothing_is_ordered_before_the_load_balancer_passes_challenges_on() -> None:
    """As long as challenges do not come through certbot does not run, and the wait is taken up again at once."""
    these = world("a.example")
    these.passes = False
    issuer = these.issuer()

    assert issuer.cycle().pause == timedelta()
    these.passes = True
    issuer.cycle()

    assert these.waits == 2
    assert these.runs == ["a.example"]


def test_a_failure_names_the_reason_and_the_next_try(caplog: pytest.LogCaptureFixture) -> None:
    """One line says which certificate, what the CA says of which name, and when it is tried again."""
    these = world("a.example, b.example")
    refused = (Skipped("b.example", "no such host"), Skipped("a.example", "404"))
    these.outcomes["a.example"] = Outcome(Failure.VALIDATION, "Some challenges have failed", refused)

    these.issuer().cycle()

    assert errors(caplog) == [
        "No certificate for a.example, b.example from ca.example: a.example: 404; b.example: no such host. "
        "Next try in 61 seconds."
    ]


def test_a_failing_certificate_delays_no_other() -> None:
    """While one fails, the others are issued, and are looked after first whenever both are due."""
    these = world("bad.example; good.example")
    these.outcomes["bad.example"] = Outcome(Failure.VALIDATION, "404")
    issuer = these.issuer()
    issuer.cycle()
    assert set(these.published) == {"good.example"}

    these.time += INTERVAL
    issuer.cycle()
    assert these.runs == ["bad.example", "good.example", "good.example", "bad.example"]


def test_a_failure_is_tried_again_in_its_time_and_mended() -> None:
    """The next try comes after the pause, not before, and its success is told like any other."""
    these = world("a.example")
    these.outcomes["a.example"] = Outcome(Failure.VALIDATION, "404")
    issuer = these.issuer()
    pause = issuer.cycle().pause
    assert pause == timedelta(seconds=60.6)
    these.outcomes.clear()

    these.time += pause - timedelta(seconds=1)
    assert issuer.cycle().sentences == ()
    these.time += timedelta(seconds=1)
    assert issuer.cycle().sentences == (f"Issued a certificate for a.example: {UNTIL}.",)


def test_a_server_that_is_away_is_one_line_for_all(caplog: pytest.LogCaptureFixture) -> None:
    """When the CA cannot be reached the other certificates are not even tried, the outage is said once, and its end
    is said, too.
    """
    these = world("a.example; b.example")
    these.outcomes = dict.fromkeys(("a.example", "b.example"), Outcome(Failure.NETWORK, "Connection refused"))
    issuer = these.issuer()
    for _ in range(5):
        these.time += issuer.cycle().pause

    assert errors(caplog) == [
        "The ACME server ca.example cannot be reached: Connection refused. Next try in 30 seconds."
    ]
    these.outcomes.clear()
    these.time += timedelta(hours=1)
    assert issuer.cycle().sentences == (
        "The ACME server ca.example answers again.",
        f"Issued a certificate for a.example: {UNTIL}.",
        f"Issued a certificate for b.example: {UNTIL}.",
    )


def test_a_failure_of_another_kind_ends_an_outage_too() -> None:
    """A server that refuses does answer."""
    these = world("a.example")
    these.outcomes["a.example"] = Outcome(Failure.BUSY, "503")
    issuer = these.issuer()
    issuer.cycle()
    these.outcomes["a.example"] = Outcome(Failure.REFUSED, "policy forbids it")
    these.time += timedelta(hours=1)

    assert issuer.cycle().sentences == (
        "The ACME server ca.example answers again.",
        "No certificate for a.example from ca.example: policy forbids it. Next try in 24 hours.",
    )


def test_a_rate_limit_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """The CA's Retry-After is when the next try comes, and even SIGHUP does not hurry it."""
    these = world("a.example")
    these.outcomes["a.example"] = Outcome(Failure.RATE_LIMITED, "too many", retry_after=timedelta(hours=3))
    these.rings = [frozenset({"SIGHUP"})]
    these.run()

    assert these.runs == ["a.example"]
    assert errors(caplog)[0].endswith("Next try in 3 hours.")


def test_sighup_tries_failures_again_at_once() -> None:
    """The operator who mended something need not wait for a day."""
    these = world("a.example")
    these.outcomes["a.example"] = Outcome(Failure.REFUSED, "policy")
    these.rings = [frozenset({"SIGHUP"})]
    these.run()

    assert these.runs == ["a.example", "a.example"]


def test_unusable_options_are_one_line_and_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    """A certbot that does not understand OPTIONS is asked once a day, for one certificate, and one line says it."""
    these = world("a.example; b.example")
    usage = Outcome(Failure.USAGE, "certbot knows no option --nonsense")
    these.outcomes = dict.fromkeys(("a.example", "b.example"), usage)
    issuer = these.issuer()
    for _ in range(1000):
        these.time += issuer.cycle().pause

    days = (these.time - NOW) / timedelta(days=1)
    assert len(these.runs) <= days + 1
    assert errors(caplog) == [
        "OPTIONS cannot be used, so no certificate is ordered: certbot knows no option --nonsense. "
        "Next try after OPTIONS is changed."
    ]


def test_a_run_that_only_looks_well_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """When certbot is content but holds no such certificate, one may have been issued and lost: no quick retry."""
    these = world("a.example")
    these.outcomes["a.example"] = None
    issuer = these.issuer()
    issuer.cycle()
    assert errors(caplog) == [
        "No certificate for a.example from ca.example: certbot ended well, but there is no certificate. "
        "Next try in 10 minutes."
    ]


def test_a_full_disk_is_told_once_and_nothing_is_ordered_again(caplog: pytest.LogCaptureFixture) -> None:
    """A bundle that cannot be written is tried again soon, by itself, and its success is told."""
    these = world("a.example")
    these.disk_full = True
    issuer = these.issuer()
    assert issuer.cycle().pause == PUBLISH_AGAIN
    assert issuer.cycle().pause == PUBLISH_AGAIN
    assert errors(caplog) == ["Cannot write a.example.pem: No space left on device."]

    these.disk_full = False
    assert issuer.cycle().pause == RESYNC
    assert these.published == these.held
    assert these.runs == ["a.example"]


def test_a_certificate_that_is_not_fit_is_a_warning() -> None:
    """What cannot be served is said, and renewed all the same."""
    these = world("a.example")
    these.held["a.example"] = bundle("a.example", issue(["a.example"], NOW - timedelta(days=1)))

    report = these.issuer().cycle()

    assert report.sentences == (
        "What is held for a.example is not published: the certificate expired.",
        f"Renewed the certificate for a.example: {UNTIL}.",
    )
    assert these.published == these.held


def test_folders_that_are_not_fit_hold_up_all(caplog: pytest.LogCaptureFixture) -> None:
    """Without room nothing is ordered for anybody; one line says why, and what is held is still published."""
    these = world("a.example; b.example")
    these.held["a.example"] = bundle("a.example", issue(["a.example"]))
    these.not_ready = "Less than 1024 KiB are free in /etc/letsencrypt."

    report = these.issuer().cycle()

    assert these.runs == []
    assert set(these.published) == {"a.example"}
    assert errors(caplog) == [
        "No certificate can be ordered: Less than 1024 KiB are free in /etc/letsencrypt. Next try in 61 seconds."
    ]
    assert report.pause == timedelta(seconds=60.6)


def test_a_lineage_that_cannot_be_mended_holds_up_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Damage that stays costs the damaged lineage its run, and no other."""
    these = world("a.example; b.example")
    these.unmendable = {"a.example"}

    these.issuer().cycle()

    assert these.runs == ["b.example"]
    assert errors(caplog) == [
        "No certificate for a.example from ca.example: Cannot mend the lineage a.example: Permission denied. "
        "Next try in 61 seconds."
    ]


def test_repairs_are_told_and_published_in_the_same_cycle() -> None:
    """What the checkup mended is said first."""
    these = world("a.example")
    these.repairs = ["The lineage a.example was mended."]
    assert these.issuer().cycle().sentences[0] == "The lineage a.example was mended."


def test_a_stop_ends_the_round_after_the_running_certbot() -> None:
    """When the container has to stop, the run under way is finished and published, and no other begins."""
    these = world("a.example; b.example")

    def stop(_name: str) -> None:
        these.stopping = True

    these.after_run = stop
    these.run()

    assert these.runs == ["a.example"]
    assert set(these.published) == {"a.example"}


def test_without_certificates_it_idles() -> None:
    """With nothing wanted, nothing is checked or waited for, and the loop still gives signs of life."""
    these = world("")
    report = these.issuer().cycle()
    assert (report.sentences, report.pause) == ((), RESYNC)
    assert these.waits == 0
    assert these.promises


def test_every_sleep_and_every_run_is_announced() -> None:
    """The health check hears of each step of work before it begins, and of each sleep with its length."""
    these = world("a.example; b.example")
    promised: list[int] = []
    these.after_run = lambda _name: promised.append(len(these.promises))

    these.run()

    assert promised == sorted(set(promised))
    assert these.promises[0] is None
    assert these.promises[-1] == RESYNC


def test_what_joins_is_issued_and_what_leaves_stays_published() -> None:
    """A changed set is looked after from the next cycle on: the new one at once, the others in their own time."""
    these = world("a.example")
    issuer = these.issuer()
    issuer.cycle()
    issuer.want(parse_domains("b.example").lineages)
    issuer.cycle()
    these.time += INTERVAL
    issuer.cycle()

    assert these.runs == ["a.example", "b.example", "b.example"]
    assert set(these.published) == {"a.example", "b.example"}


def test_whoever_returns_waits_for_the_rest_of_the_pause() -> None:
    """A container that fails to get a certificate and starts again and again causes no more tries than one that stays;
    one with other names is tried at once.
    """
    these = world("a.example")
    these.outcomes["a.example"] = Outcome(Failure.VALIDATION, "404")
    issuer = these.issuer()
    issuer.cycle()
    for _ in range(5):
        issuer.want(())
        issuer.cycle()
        issuer.want(these.lineages)
        issuer.cycle()
    assert these.runs == ["a.example"]

    issuer.want(parse_domains("a.example, b.example").lineages)
    issuer.cycle()
    assert these.runs == ["a.example", "a.example"]


def test_other_names_do_not_end_a_pause_of_the_ca(caplog: pytest.LogCaptureFixture) -> None:
    """Who was told to wait by the CA waits, whatever the list says now."""
    these = world("a.example")
    these.outcomes["a.example"] = Outcome(Failure.RATE_LIMITED, "too many", retry_after=timedelta(hours=3))
    issuer = these.issuer()
    issuer.cycle()
    issuer.want(parse_domains("a.example, b.example").lineages)
    issuer.cycle()
    assert these.runs == ["a.example"]
    assert len(errors(caplog)) == 1


def test_a_failure_says_who_wants_the_certificate(caplog: pytest.LogCaptureFixture) -> None:
    """The operator sees whose container to look at."""
    these = world("a.example")
    these.lineages = (replace(these.lineages[0], services=("shop/web", "shop/worker")),)
    these.outcomes["a.example"] = Outcome(Failure.VALIDATION, "404")
    these.issuer().cycle()
    assert errors(caplog) == [
        "No certificate for a.example (wanted by shop/web, shop/worker) from ca.example: 404. Next try in 61 seconds."
    ]


def test_what_a_preflight_holds_back_is_not_ordered() -> None:
    """No run is spent on it, the others go on, and it is looked at again in minutes, as often as it takes."""
    these = world("bad.example; a.example")
    these.clearances["bad.example"] = None
    issuer = these.issuer()

    pauses = []
    for _ in range(6):
        pauses.append(issuer.cycle().pause)
        these.time += pauses[-1]
    assert these.runs == ["a.example"]
    assert [round(pause.total_seconds()) for pause in pauses] == [61, 61, 121, 300, 3, 300]

    these.clearances.clear()
    these.time += timedelta(minutes=5)
    issuer.cycle()
    assert these.runs == ["a.example", "bad.example"]


def test_a_preflight_says_nothing_about_the_ca() -> None:
    """A CA that was down is not said to answer again because a name was looked at."""
    these = world("a.example; bad.example")
    these.outcomes["a.example"] = Outcome(Failure.NETWORK, "down")
    issuer = these.issuer()
    issuer.cycle()
    these.clearances = {"bad.example": None}
    these.outcomes["a.example"] = None
    these.time += timedelta(seconds=31)
    these.held["a.example"] = bundle("a.example", issue(["a.example"]))

    assert "The ACME server ca.example answers again." in issuer.cycle().sentences


def test_names_left_out_are_looked_at_again_soon() -> None:
    """A certificate for the others is issued and published, and the whole is tried again within minutes."""
    these = world("a.example, bad.example")
    whole = these.lineages[0]
    these.clearances["a.example"] = replace(whole, identifiers=whole.identifiers[:1])
    issuer = these.issuer()

    assert issuer.cycle().sentences == (f"Issued a certificate for a.example: {UNTIL}.",)
    assert these.published["a.example"].identifiers == {"a.example"}

    these.clearances.clear()
    these.time += HEALS
    assert issuer.cycle().sentences == (f"Issued a certificate for a.example, bad.example: {UNTIL}.",)
    these.time += HEALS
    issuer.cycle()
    assert these.runs == ["a.example", "a.example"]


@pytest.mark.parametrize(("hours", "looks"), [(24, 8), (160, 14), (24 * 45, 90)])
def test_short_lives_are_looked_at_more_often(hours: int, looks: int) -> None:
    """Every RENEWAL_INTERVAL, and at least eight times in the life of a certificate, however short that is."""
    these = world("a.example")
    life = timedelta(hours=hours)
    issued = CertificateAuthority(NOW).issue("a.example", not_before=NOW, not_after=NOW + life)
    these.held["a.example"] = bundle("a.example", issued)
    these.outcomes["a.example"] = None
    issuer = these.issuer()
    while these.time < NOW + life - timedelta(minutes=1):
        these.time += issuer.cycle().pause
    assert len(these.runs) in {looks, looks + 1}


@pytest.mark.parametrize("staging", [Failure.VALIDATION, Failure.NETWORK, None])
def test_the_second_try_is_rehearsed(staging: Failure | None, caplog: pytest.LogCaptureFixture) -> None:
    """Once a name failed, it is first tried where failures cost nothing, and if it fails there, nowhere else; what the
    rehearsal cannot tell is asked of the CA itself.
    """
    these = world("a.example")
    rehearsed: list[str] = []

    def rehearse(lineage: Lineage) -> Outcome:
        rehearsed.append(lineage.name)
        return Outcome(staging, "no such host")

    these.rehearse = rehearse
    these.outcomes["a.example"] = Outcome(Failure.VALIDATION, "404", ordered=True)
    issuer = these.issuer()
    these.time += issuer.cycle().pause
    assert rehearsed == []
    errors(caplog)
    issuer.cycle()

    assert rehearsed == ["a.example"]
    assert len(these.orders) == (1 if staging is Failure.VALIDATION else 2)
    told = "No certificate for a.example from ca.example: in a rehearsal, no such host. Next try in 10 minutes."
    assert errors(caplog) == ([told] if staging is Failure.VALIDATION else []), "what repeats itself is said once"


def test_an_unknown_account_is_replaced_once(caplog: pytest.LogCaptureFixture) -> None:
    """A new one is registered in the same cycle; if that is unknown as well, all wait, and one line says so."""
    these = world("a.example; b.example")
    these.account = ["The account was set aside."]
    unknown = Outcome(Failure.ACCOUNT, "unknown account", code="accountDoesNotExist")
    these.outcomes = dict.fromkeys(("a.example", "b.example"), unknown)
    these.issuer().cycle()

    assert these.runs == ["a.example", "a.example"]
    assert errors(caplog) == [
        "The account at ca.example cannot be used, so no certificate is ordered: unknown account. Next try in 24 hours."
    ]


def test_a_run_that_cannot_begin_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """No room for its folders, say: that ends neither the loop nor the other certificates."""

    def no_room(name: str) -> None:
        if name == "a.example":
            raise OperationalError("Cannot make /run/work/2: No space left on device.")

    these = world("a.example; b.example")
    these.after_run = no_room
    these.held["b.example"] = bundle("b.example", issue(["b.example"]))
    issuer = these.issuer()
    issuer.cycle()
    assert errors(caplog) == [
        "No certificate can be ordered: Cannot make /run/work/2: No space left on device. Next try in 61 seconds."
    ]
    assert not issuer.under_way
