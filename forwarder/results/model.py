# SPDX-License-Identifier: Apache-2.0
"""A measurement's result, as it stands in result.json and trials.jsonl. Written by bench, read by report.

Units are in the names. `*_per_s` is frames a second in one direction; a total over the directions is named
`aggregate_*`. A frame's bytes are without the 4 bytes of its FCS, unless a name says otherwise. A key whose
value wasn't measured is null.

docs/bench-result.md explains each key. A change that a reader must know of raises SCHEMA_VERSION.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1

Test = Literal["selftest", "mrr", "ndrpdr", "latency", "loss", "burst", "soak", "reconf", "reset", "quick"]
Verdict = Literal["dut_limited", "generator_limited", "receiver_limited", "noisy", "inconclusive"]
Direction = Literal["forward", "backward"]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Distribution(Model):
    """Times of single frames. Quantiles that so few samples can't tell are null."""

    samples: int
    min_ns: int | None = None
    mean_ns: float | None = None
    p50_ns: int | None = None
    p90_ns: int | None = None
    p99_ns: int | None = None
    p999_ns: int | None = None
    p9999_ns: int | None = None  # of 1,000,000 samples at least
    max_ns: int | None = None
    buckets: tuple[tuple[int, int], ...] = ()  # (highest ns, samples) of each bucket that isn't empty, rising


class Profile(Model):
    """The traffic."""

    sizes: str  # as the user spelt it: "60", "60x7,566x4,1514x1"; bytes without FCS
    mean_frame_bytes: float
    mean_frame_bytes_with_fcs: float
    genome: str | None = None  # RFC 6985, of a mix
    ip: Literal[4, 6] | None  # null: a capture's frames are what they are
    vlans: tuple[int, ...] = ()
    flows: int | None  # null: a capture's
    flow_order: Literal["incremental", "random"]
    seed: int
    directions: Literal[1, 2]
    dst_macs: tuple[str, ...] = ()  # of each direction, where they aren't the tester's own
    pcap: str | None = None


class Lost(Model):
    """Where frames were lost. Each that was sent and never received is in one place."""

    before_dut: int = (
        0  # refused by the device that the tester sends by, or dropped before the DUT took it in
    )
    dut: dict[str, int] = {}  # by drop reason, for a DUT that gives reasons; else {"inside": n}
    after_dut: int = 0  # sent by the DUT, and dropped by the device to the receiver
    receiver: int = 0  # seen by the receiver's device, and not by the receiver
    unexplained: int = 0

    @property
    def total(self) -> int:
        return self.before_dut + sum(self.dut.values()) + self.after_dut + self.receiver + self.unexplained


class Disturbance(Model):
    """What the machine did to the tester and the DUT during a trial."""

    # CPU seconds a second, on the CPUs of tester and DUT together
    foreign_cpu_ratio: float | None = None  # of others' threads
    softirq_ratio: float | None = None  # of interrupts and softirqs; the DUT's own are among them
    steal_ratio: float | None = None  # of the CPU from which most was stolen
    wait_ratio: float | None = None  # threads of tester and DUT were ready, and something else had the CPU
    cpu_pressure_ratio: float | None = None  # anybody on the machine was
    preemptions: int | None = None  # of the generator
    clock_step_ns: int | None = None


class Way(Model):
    """One direction of a trial. Frames are told apart by their sequence numbers."""

    direction: Direction
    intended: int  # frames due in the trial
    sent: int  # handed to the device, with a sequence number
    unsent: int  # due, and left out: after a stall the generator makes up for a bounded number only
    received: int  # different frames
    duplicates: int = 0
    reordered: int = 0  # RFC 4737: later than a frame with a higher sequence number
    reordered_extent: int = 0  # the greatest displacement, frames
    stale: int = 0  # from before the trial
    unstamped: int = 0  # sent beside these, of a capture: frames without room for a number
    path: Distribution  # from the stamp in the frame to the receiver's
    response: (
        Distribution  # from when the frame was due: what a queue before the generator would add is in it
    )
    lateness: Distribution  # from when the frame was due to its stamp: the generator's own quality
    ipdv: Distribution | None = (
        None  # RFC 3393: the difference between one frame's path and the next's, absolute
    )
    rfc3550_jitter_ns: float | None = None
    longest_gap_ns: int | None = None  # between two arrivals
    batch: int = 1  # frames handed to the device together; path is uncertain by 0.1 us for each but one
    lost_each_second: tuple[int, ...] = ()  # by the second of the trial that a frame was due in

    @property
    def lost(self) -> int:
        return self.sent - self.received


class Trial(Model):
    """A line of trials.jsonl."""

    number: int
    started: str  # RFC 3339
    purpose: str  # "selftest", "search", "latency pdr_90" ...
    run: int  # the DUT's start that it belongs to, from 1
    intended_per_s: float
    duration_s: float  # of sending
    whole_s: float  # with the waits before and after
    ways: tuple[Way, ...]
    lost: Lost
    void: tuple[str, ...]  # why it doesn't count; empty if it does
    verdict: Verdict | None  # of what limited it; null where nothing did
    disturbance: Disturbance

    @property
    def loss_ratio(self) -> float:
        """Frames lost of those that were due. What the generator left out counts as lost (RFC 9971)."""
        intended = sum(way.intended for way in self.ways)
        return 1 - sum(way.received for way in self.ways) / intended if intended else 0.0


class Selftest(Model):
    """The tester against itself, without a DUT."""

    max_load_per_s: float
    max_load_sizes: str
    path: Distribution
    lateness: Distribution
    # A trial beyond these is void.
    limit_lateness_p999_ns: int
    limit_foreign_cpu_ratio: float
    limit_steal_ratio: float
    limit_preemptions_per_s: float
    limit_unsent_ratio: float = 0.001  # of the frames due, left out by a generator that kept pace otherwise


class Tester(Model):
    generator: Literal["xdp", "xdp+tc", "packet"]
    receiver: Literal["tc", "xdp", "packet"]
    timestamps: Literal["kernel", "nic"]
    generator_cpus: tuple[int, ...]
    receiver_cpus: tuple[int, ...]
    cpus_shared: bool  # with the DUT
    selftest: Selftest | None


class Dut(Model):
    kind: Literal["config", "instance", "external", "none"]
    title: str  # "driver uring, 1 queue", "external veth0 veth1"
    devices: tuple[str, ...]
    version: str | None = None
    config: dict[str, Any] | None = None
    cpus: tuple[int, ...] = ()
    cpu_ns_per_packet: float | None = None


class GoalRun(Model):
    """One search: of one start of the DUT."""

    run: int
    regular: bool  # both bounds were found, in time
    lower_per_s: float | None  # RFC 9971: Relevant Lower Bound
    upper_per_s: float | None
    conditional_per_s: float | None  # Conditional Throughput
    verdict: Verdict
    why: str | None = None  # of an irregular result


class Goal(Model):
    name: str
    loss_ratio: float
    exceed_ratio: float
    duration_sum_s: float
    initial_trial_s: float | None = None
    final_trial_s: float
    width: float
    runs: tuple[GoalRun, ...]
    mean_per_s: float | None  # of the lower bounds
    stdev_per_s: float | None
    aggregate_factor: int  # directions: mean_per_s times this is the whole DUT's


class LossPoint(Model):
    intended_per_s: float
    sent_per_s: float
    received_per_s: float
    loss_ratio: float
    trials: int


class Rate(Model):
    """MRR: what is received at the highest load."""

    intended_per_s: float
    received_per_s: tuple[float, ...]  # of each trial that counts
    mean_per_s: float
    stdev_per_s: float | None
    verdict: Verdict


class Latency(Model):
    load: str  # "pdr_50": half of the PDR lower bound
    intended_per_s: float
    direction: Direction
    trials: int
    lost: int
    duplicates: int
    reordered: int
    path: Distribution
    response: Distribution
    lateness: Distribution
    pdv_ns: int | None  # RFC 5481: p99.9 less minimum of path
    ipdv: Distribution | None
    rfc3550_jitter_ns: float | None


class Burst(Model):
    """RFC 9004: the longest burst at the self-test's rate of which nothing is lost."""

    load_per_s: float
    frames: tuple[int, ...]  # of each repetition
    min_frames: int
    mean_frames: float
    max_frames: int
    stdev_frames: float | None
    buffer_s: float  # implied
    corrected_buffer_s: float | None  # by the throughput; null where that is unknown


class Soak(Model):
    load_per_s: float
    duration_s: float
    frames: int
    lost: int
    lost_each_second: tuple[int, ...]
    loss_ratio_below: float  # with 95 % confidence


class Outage(Model):
    """`reset` or `reconf`: what one event cost."""

    event: str  # "worker 0 killed", "port ttb2 connected"
    load_per_s: float
    lost: int
    blocked_s: float  # lost frames by the load
    longest_gap_s: float | None


class Host(Model):
    fingerprint: str  # "sha256:...", of the facts that don't change from run to run
    facts: dict[str, Any]
    delta: dict[str, Any]  # of counters, from begin to end


class Result(Model):
    schema_version: int = SCHEMA_VERSION
    kind: Literal["bench"] = "bench"
    test: Test
    run_id: str
    command: tuple[str, ...]
    started: str
    ended: str
    complete: bool  # False: it was interrupted, and holds what was measured until then
    publishable: bool
    why_not: tuple[str, ...]
    ttfwd_version: str
    profile: Profile
    deviations: tuple[str, ...]  # from the standards
    tester: Tester
    dut: Dut
    goals: tuple[Goal, ...] = ()
    mrr: Rate | None = None
    loss_curve: tuple[LossPoint, ...] = ()
    latency: tuple[Latency, ...] = ()
    burst: Burst | None = None
    soak: Soak | None = None
    outages: tuple[Outage, ...] = ()
    trials: str = "trials.jsonl"  # beside result.json
    trials_counted: int
    trials_void: int
    lost: Lost  # of all trials that count
    host: Host
