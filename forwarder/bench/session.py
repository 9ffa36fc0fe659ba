# SPDX-License-Identifier: Apache-2.0
"""One measurement, from the user's request to a result on disk.

    the tester's CPUs   chosen before anything is started, and checked once the DUT runs
    the self-test       on a veth pair of its own: the highest load, and the limits of a disturbance
    the DUT             started, or found; ended if it was started here
    the test            forwarder.bench.methods
    the result          forwarder.bench.conduct

Whatever ends it, what was made for it is removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version as installed

from forwarder.bench.books import Books
from forwarder.bench.conduct import conduct
from forwarder.bench.context import Bench
from forwarder.bench.cpus import ChosenCpus, parse_option, place_tester
from forwarder.bench.directory import ResultDirectory
from forwarder.bench.dut import Dut
from forwarder.bench.external import External
from forwarder.bench.goals import goals
from forwarder.bench.host_state import host_against, purpose
from forwarder.bench.instance_dut import InstanceDut, StartedInstance
from forwarder.bench.interrupts import signals_interrupt
from forwarder.bench.limits import Limits
from forwarder.bench.loopback import loopback
from forwarder.bench.methods.table import METHODS, searches
from forwarder.bench.no_dut import NoDut
from forwarder.bench.outcome import Setting
from forwarder.bench.parts import Parts
from forwarder.bench.quick import written_config
from forwarder.bench.request import Request
from forwarder.bench.runner import Runner, rfc3339
from forwarder.bench.seams import Progress
from forwarder.bench.search import require_package
from forwarder.bench.selftest import selftest
from forwarder.bench.through import Through
from forwarder.bench.watched import WatchedMachine
from forwarder.config.cpus import AUTO, cpus_for, nameable_cpus
from forwarder.config.model import DEFAULT_MTU
from forwarder.host.recording import Recording
from forwarder.results import model
from forwarder.tester import native
from forwarder.tester.open import MAX_FRAME_BYTES, Receiving, open_tester
from forwarder.tester.traffic import ETHERNET_BYTES
from forwarder.tester.trial import Endpoint, Tester

LOG = "dut.log"  # in the result's directory
NOISE_ALLOWED = (
    "noise was allowed: disturbed trials count, and what a stalled generator left out isn't counted as lost"
)
NOISE_COMES = "the machine doesn't get quiet: from here on, disturbed trials count"


def run_id() -> str:
    """Names a measurement, and by default its directory."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def measure(request: Request, progress: Progress) -> model.Result:
    """Measure, and leave the result in `request.out`. Raises TtfwdError, KeyboardInterrupt."""
    request.check()
    native.load()
    if searches(request):
        require_package()
    with signals_interrupt(), ResultDirectory(request.out) as directory, ExitStack() as stack:
        if request.test == "quick":
            request = replace(request, config=stack.enter_context(written_config(directory)))
        return _Session(request, progress, directory).run()


class _Session:
    def __init__(self, request: Request, progress: Progress, directory: ResultDirectory) -> None:
        self._request = request
        self._progress = progress
        self._directory = directory
        self._started = rfc3339()
        self._parts = Parts()
        self._noise_allowed = False
        if request.allow_noise:
            self._allow_noise()
        planned = _planned_cpus(request)
        self._cpus = self._placed(planned)
        every = {*self._cpus.generators, *planned}
        self._recording = Recording(every)
        self._host_against = () if request.allow_noise else self._look_at_host(every)

    def run(self) -> model.Result:
        traffic = self._request.profile.traffic
        with loopback(max(DEFAULT_MTU, traffic.max_frame_bytes - ETHERNET_BYTES)) as ends:
            dut: Dut = NoDut(*ends)
            with self._bench(dut, self._limits(None)) as (through, runner):
                tested = selftest(
                    runner,
                    traffic.sizes,
                    trial_s=self._request.profile.selftest.trial_s,
                )
                if self._request.test == "selftest":
                    return self._conduct(runner, through, dut, tested)
        if self._request.config is not None:
            self._progress.doing("starting the device under test")
        with closing(_dut(self._request, self._directory)) as dut:
            self._cpus = self._placed(dut.cpus)
            with self._bench(dut, self._limits(tested)) as (through, runner):
                return self._conduct(runner, through, dut, tested)

    def _look_at_host(self, cpus: Collection[int]) -> tuple[str, ...]:
        request = self._request
        self._progress.doing("looking at the machine")
        wanted = purpose(request.test, goals(",".join(request.profile.goals)))
        # An external device may be at work on its CPUs: no stillness is found there.
        looked_at = cpus if request.external is None else self._cpus.generators
        return host_against(wanted, looked_at, _present_pids(request))

    def _receiver(self, dut: Dut) -> Receiving:
        """Alone, the tester takes the one that takes least."""
        traffic = self._request.profile.traffic
        if isinstance(dut, NoDut) and traffic.pcap is None:
            return "xdp" if traffic.max_frame_bytes <= MAX_FRAME_BYTES else "tc"
        return self._request.profile.receiver or ("tc" if traffic.pcap is None else "packet")

    def _watched_cpus(self, dut: Dut) -> tuple[int, ...]:
        """Those that the tester works on."""
        return (*self._cpus.generators, *(self._cpus.receiver if self._receiver(dut) == "packet" else ()))

    def _allow_noise(self) -> None:
        self._noise_allowed = True
        self._parts.why_not.append(NOISE_ALLOWED)

    def _may_allow_noise(self) -> bool:
        """A first look should end with figures, and say what they are worth."""
        return self._request.test == "quick" and not self._noise_allowed

    def _noise_comes(self) -> None:
        self._progress.doing(NOISE_COMES)
        self._allow_noise()

    def _limits(self, tested: model.Selftest | None) -> Limits:
        if self._noise_allowed:
            return Limits.none()
        return Limits() if tested is None else Limits.of(tested)

    def _placed(self, dut_cpus: Collection[int]) -> ChosenCpus:
        request = self._request
        return place_tester(
            request.tester_cpus,
            dut_cpus,
            cpus_for(request.tester_cpus or AUTO),
            request.profile.traffic.directions,
            request.allow_shared_cpus,
        )

    @contextmanager
    def _bench(self, dut: Dut, limits: Limits) -> Iterator[tuple[Through, Runner]]:
        """A tester through the DUT, and who runs its trials."""

        def opened(near: Endpoint, far: Endpoint) -> Tester:
            return open_tester(
                near,
                far,
                self._request.profile.traffic,
                cpus=self._cpus.generators,
                receiving=self._receiver(dut),
                receiver_cpus=self._cpus.receiver,
            )

        with closing(Through(dut, opened)) as through:
            machine = WatchedMachine(self._watched_cpus(dut), dut.cpus, lambda: through.pids)
            try:
                yield (
                    through,
                    Runner(
                        tester=through,
                        machine=machine,
                        ledger=Books(dut),
                        journal=self._directory.journal,
                        progress=self._progress,
                        limits=limits,
                        noise_comes=self._noise_comes if self._may_allow_noise() else None,
                    ),
                )
            finally:
                machine.release()

    def _conduct(self, runner: Runner, through: Through, dut: Dut, tested: model.Selftest) -> model.Result:
        request = self._request
        traffic = request.profile.traffic
        bench = Bench(traffic.profile, through, runner, tested, self._parts)
        if traffic.capture and traffic.capture.deviation:
            bench.parts.deviations.append(traffic.capture.deviation)
        receiver = self._receiver(dut)
        setting = Setting(
            test=request.test,
            run_id=request.out.resolve().name,
            command=request.command,
            started=self._started,
            ttfwd_version=installed("ttfwd"),
            tester=model.Tester(
                generator=through.sending,
                receiver=receiver,
                timestamps=through.timestamps,
                generator_cpus=self._cpus.generators,
                receiver_cpus=self._cpus.receiver if receiver == "packet" else (),
                cpus_shared=self._cpus.shared,
                selftest=tested,
            ),
            host=lambda: self._recording.host((end.device, end.netns) for end in dut.endpoints),
            host_against=self._host_against,
        )
        return conduct(
            setting, bench, self._directory, lambda each: METHODS[request.test](each, request, dut)
        )


def _planned_cpus(request: Request) -> tuple[int, ...]:
    """The CPUs that the DUT has or will have. Raises TtfwdError if it can't be used."""
    if request.config is not None:
        return StartedInstance.planned_cpus(request.config)
    if request.test == "selftest":
        return ()
    with closing(_present_dut(request)) as dut:
        return dut.cpus


def _present_pids(request: Request) -> Collection[int]:
    """Processes that work on the DUT's CPUs already. At those of an external device nobody looks."""
    if request.instance is None:
        return ()
    with closing(_present_dut(request)) as dut:
        return dut.pids


def _present_dut(request: Request) -> External | InstanceDut:
    """A DUT that was there before."""
    if request.instance is not None:
        return InstanceDut(request.instance, request.ports, request.ends)
    assert request.external is not None
    cpus = parse_option("--dut-cpus", request.dut_cpus, nameable_cpus()) if request.dut_cpus else ()
    return External(*request.external, cpus, request.dut_pids)


def _dut(request: Request, directory: ResultDirectory) -> Dut:
    if request.config is None:
        return _present_dut(request)
    return StartedInstance(request.config, directory.path / LOG, request.ports, request.ends)
