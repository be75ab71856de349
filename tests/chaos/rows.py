"""All that is tried, in the order of the table."""

from collections.abc import Sequence

from tests.chaos import changes, clocks, damage, deaths, docker_faults, full_speed
from tests.chaos.fault import Fault

FAULTS: Sequence[Fault] = (
    Fault("certificate renewals", 50, changes.renewals, few=3),
    Fault("new certificates", 200, changes.new_certificates, few=10),
    Fault("scale changes", 100, changes.scale_changes, few=4),
    Fault(
        "reloads (a new service each)",
        50,
        changes.reloads,
        few=3,
        unavoidable="after 30 reloads a websocket is cut: each old worker takes memory for as long as it lives",
        excused="websocket: IncompleteReadError",
    ),
    Fault(
        "the same with wrk at full speed",
        20,
        full_speed.reloads_at_full_speed,
        few=0,
    ),
    Fault("the same with h2load, and 100 streams at once", 20, full_speed.reloads_under_streams, few=2),
    Fault("`kill -9` of the agent at work", 20, deaths.killed_agents),
    Fault(
        "`kill -9` of the HAProxy worker",
        10,
        deaths.killed_workers,
        unavoidable="what is under way dies with the process that serves it; who connects meanwhile waits",
    ),
    Fault(
        "`kill -9` of the HAProxy master",
        10,
        deaths.killed_masters,
        unavoidable="its worker ends with it: as above",
    ),
    Fault("`kill -9` of docker-gate", 20, deaths.killed_gates),
    Fault("a burst of 1,000 container events", 10, changes.bursts, few=1),
    Fault("a configuration that HAProxy rejects", 10, changes.rejected, few=1),
    *(
        Fault(f"certificate volume: {spoil.__name__.replace('_', ' ')}", 10, damage.spoiled(spoil), few=few)
        for spoil, few in damage.SPOILS
    ),
    Fault("certificate volume: many more files at once", damage.MANY, damage.many_files, few=30),
    Fault("disk full, and back", 5, damage.full_disks, few=0, small_disk=True),
    Fault("the clock moved by days, and back", 20, clocks.moved_clocks, other_clock=True),
    Fault("Docker slow (2 s for each answer)", 3, docker_faults.failing("slow", 5), few=0),
    Fault("Docker mute (hangs for 30 s)", 2, docker_faults.failing("hanging", 30), few=0),
    Fault("Docker answering garbage", 5, docker_faults.failing("garbage", 5), few=1),
    Fault("Docker answering half lists", 5, docker_faults.failing("half", 5), few=1),
    Fault("Docker answering 500", 5, docker_faults.failing("error", 5), few=0),
    Fault("Docker daemon gone for 20 s", 3, docker_faults.restarted(20), few=0),
)
