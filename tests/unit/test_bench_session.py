# SPDX-License-Identifier: Apache-2.0
"""A measurement from the request to the result, on simulated devices: nothing here needs a kernel or root."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from forwarder.bench import session
from forwarder.bench.dut import Account, Cost
from forwarder.bench.profile import BenchProfile, LatencyKeys, Mrr
from forwarder.bench.request import Request
from forwarder.bench.seams import Silent
from forwarder.bench.session import NOISE_ALLOWED, measure
from forwarder.bench.through import Through
from forwarder.cli.commands import main
from forwarder.config.cpus import allowed_cpus
from forwarder.errors import ExitCode, TtfwdError, UsageError
from forwarder.results import model
from forwarder.results.load import load
from forwarder.tester import native
from forwarder.tester.trial import Endpoint
from tests.support.simulated import QUIET, SimulatedClock, SimulatedDut, SimulatedTester

ENDS = (Endpoint("sim0"), Endpoint("sim1"))


class Device:
    """A DUT that was there before, and of which a test notes what is done with it."""

    endpoints = ENDS
    cpus: tuple[int, ...] = ()
    pids: frozenset[int] = frozenset()
    gives_reasons = False

    def __init__(self) -> None:
        self.events: list[str] = []

    def describe(self) -> model.Dut:
        return model.Dut(kind="external", title="simulated", devices=("sim0", "sim1"))

    def account(self, whole: bool = True) -> Account:
        return Account()

    def spent(self, cost: Cost) -> None: ...

    def restart(self) -> None:
        self.events.append("restart")

    def close(self) -> None:
        self.events.append("close")


class Machine:
    def __init__(self, *given: object) -> None: ...

    def begin(self) -> None: ...

    def end(self) -> model.Disturbance:
        return QUIET

    def release(self) -> None: ...


class Openings:
    """Opens testers: through the loop, which loses nothing, and through the device."""

    def __init__(self) -> None:
        self.capacity_per_s = 3e5
        self.before_trial: Callable[[int], None] = lambda number: None
        self.opened: list[tuple[str, str, tuple[int, ...]]] = []  # device, receiver, CPUs

    def __call__(self, near: Endpoint, far: Endpoint, traffic: object, **given: object) -> SimulatedTester:
        alone = near not in ENDS
        self.opened.append((near.device, str(given["receiving"]), tuple(given["cpus"])))  # type: ignore[arg-type]
        return SimulatedTester(
            SimulatedDut(capacity_per_s=1e9 if alone else self.capacity_per_s),
            SimulatedClock(),
            before_trial=(lambda number: None) if alone else self.before_trial,
        )


@contextmanager
def loop(mtu: int) -> Iterator[tuple[Endpoint, Endpoint]]:
    yield Endpoint("loop0"), Endpoint("loop1")


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def testers(monkeypatch: pytest.MonkeyPatch, device: Device) -> Openings:
    found = Openings()
    monkeypatch.setattr(session, "open_tester", found)
    monkeypatch.setattr(session, "loopback", loop)
    monkeypatch.setattr(session, "WatchedMachine", Machine)
    monkeypatch.setattr(session, "host_against", lambda *given: ("the host is noisy",))
    monkeypatch.setattr(session, "_present_dut", lambda request: device)
    monkeypatch.setattr(native, "load", lambda: None)
    return found


def request(tmp_path: Path, test: model.Test, **given: object) -> Request:
    profile = BenchProfile(
        mrr=Mrr(trials=2), latency=LatencyKeys(loads_percent=(50,), duration_s=1.0, trial_s=1.0)
    )
    external = None if test == "selftest" else ENDS
    keys = {"test": test, "profile": profile, "out": tmp_path / "result", "external": external, **given}
    return Request(**keys)  # type: ignore[arg-type]


def test_the_self_test_comes_first_and_sets_the_load_of_the_others(
    tmp_path: Path, testers: Openings, device: Device
) -> None:
    result = measure(request(tmp_path, "mrr"), Silent())
    assert [name for name, _, _ in testers.opened] == ["loop0", "sim0"]
    assert result.tester.selftest is not None
    assert result.mrr is not None
    assert result.mrr.intended_per_s == result.tester.selftest.max_load_per_s
    assert result.mrr.received_per_s == (3e5, 3e5)
    assert device.events[-1] == "close"
    assert load(tmp_path / "result").result.model_dump_json() == result.model_dump_json()


def test_the_self_test_takes_the_cheapest_receiver_and_a_test_the_users(
    tmp_path: Path, testers: Openings
) -> None:
    measure(request(tmp_path, "mrr"), Silent())
    assert [receiver for _, receiver, _ in testers.opened] == ["xdp", "tc"]


def test_the_self_test_alone_needs_no_device(tmp_path: Path, testers: Openings) -> None:
    result = measure(request(tmp_path, "selftest"), Silent())
    assert result.dut.kind == "none"
    assert [name for name, _, _ in testers.opened] == ["loop0"]
    assert result.tester.receiver == "xdp"


def test_what_the_host_has_against_publishing_is_in_the_result(tmp_path: Path, testers: Openings) -> None:
    assert "the host is noisy" in measure(request(tmp_path, "mrr"), Silent()).why_not


def test_allowed_noise_is_in_the_result(tmp_path: Path, testers: Openings) -> None:
    result = measure(request(tmp_path, "mrr", allow_noise=True), Silent())
    assert NOISE_ALLOWED in result.why_not


def test_latency_is_measured_at_the_pdr_that_was_searched_for(tmp_path: Path, testers: Openings) -> None:
    result = measure(request(tmp_path, "latency"), Silent())
    (goal,) = result.goals
    (row,) = result.latency
    assert goal.name == "pdr"
    assert row.load == "pdr_50"
    assert row.intended_per_s == pytest.approx(3e5 / 2, rel=0.01)


def fail_at(number: int, error: BaseException) -> Callable[[int], None]:
    def before_trial(trial: int) -> None:
        if trial == number:
            raise error

    return before_trial


@pytest.mark.parametrize(
    ("error", "reason"), [(TtfwdError("sim0 is gone"), "sim0 is gone"), (KeyboardInterrupt(), "interrupted")]
)
def test_what_was_measured_before_an_end_is_kept_and_the_device_is_given_back(
    tmp_path: Path, testers: Openings, device: Device, error: BaseException, reason: str
) -> None:
    testers.before_trial = fail_at(2, error)
    result = measure(request(tmp_path, "mrr"), Silent())
    assert not result.complete
    assert any(reason in each for each in result.why_not)
    assert result.mrr is not None
    assert result.mrr.received_per_s == (3e5,)
    assert device.events[-1] == "close"


def test_an_error_before_anything_was_measured_is_the_users(
    tmp_path: Path, testers: Openings, device: Device
) -> None:
    testers.before_trial = fail_at(1, TtfwdError("sim0 is gone"))
    with pytest.raises(TtfwdError, match="sim0 is gone"):
        measure(request(tmp_path, "mrr"), Silent())
    assert device.events[-1] == "close"
    assert not (tmp_path / "result" / "result.json").exists()


def test_the_tester_has_none_of_the_devices_cpus(tmp_path: Path, testers: Openings, device: Device) -> None:
    cpus = sorted(allowed_cpus())
    if len(cpus) > 1:
        device.cpus = (cpus[0],)
        measure(request(tmp_path, "mrr"), Silent())
        assert all(cpus[0] not in used for _, _, used in testers.opened)
    device.cpus = tuple(cpus)
    with pytest.raises(UsageError, match="leaves none to the tester"):
        measure(request(tmp_path / "other", "mrr"), Silent())
    shared = measure(request(tmp_path / "other", "mrr", allow_shared_cpus=True), Silent())
    assert shared.tester.cpus_shared


def test_a_tester_is_opened_anew_for_a_device_that_is_started_anew(device: Device) -> None:
    testers = Openings()
    closed = []

    def opened(near: Endpoint, far: Endpoint) -> SimulatedTester:
        made = testers(near, far, None, receiving="tc", cpus=())
        made.close = lambda: closed.append(len(testers.opened))  # type: ignore[method-assign]
        return made

    through = Through(device, opened)
    through.restart()
    assert (device.events, closed, len(testers.opened)) == (["restart"], [1], 2)
    through.close()
    through.close()
    assert closed == [1, 2]


def test_an_interruption_before_anything_was_measured_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "measure", interrupted)
    done = CliRunner().invoke(main, ["bench", "selftest", "--out", str(tmp_path / "result")])
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr == "ttfwd: interrupted before anything was measured\n"
