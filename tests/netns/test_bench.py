# SPDX-License-Identifier: Apache-2.0
"""`ttfwd bench` from end to end: what it measures, what it says, and that it leaves nothing behind.

Noise is allowed, and trials are short. So nothing here depends on how fast the machine is, or how quiet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from forwarder.bench.loopback import loopback
from forwarder.cli.commands import main
from forwarder.results.load import StoredResult, load
from forwarder.results.model import Result
from tests.netns.topology import lab
from tests.support.commands import ip, run, unique
from tests.support.full import small_disk
from tests.support.instance import STOP_TIMEOUT_S, TTFWD, Instance, instance, private_environment
from tests.support.netns import NETNS, device_exists, namespace, namespace_exists
from tests.support.wait import wait_until

PROFILE = """\
[selftest]
trial_s = 0.1
[traffic]
flows = 64
[mrr]
trials = 2
trial_s = 0.2
[latency]
loads_percent = [50]
duration_s = 0.4
trial_s = 0.2
[loss]
step_percent = 50
trial_s = 0.2
[burst]
repeats = 1
max_frames = 2000
[soak]
duration_s = 0.4
trial_s = 0.2
[reset]
events = 1
trial_s = 1.0
[reconf]
events = 1
trial_s = 1.0
"""
ENDLESS = PROFILE.replace("trials = 2", "trials = 1000")
FAILED, USAGE, NOT_RUNNING, NOT_PUBLISHABLE = 1, 2, 3, 4


class Output(NamedTuple):
    stdout: str
    stderr: str


class BenchRun:
    """One user's `ttfwd bench`, with a runtime directory and results of its own."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "result"
        self.runtime_directory = directory / "run"
        self.profile = directory / "profile.toml"
        self.profile.write_text(PROFILE)

    def command(self, test: str, *words: str | Path, may_share: bool = True) -> list[str]:
        shared = ("--allow-shared-cpus",) if may_share and test not in ("quick", "selftest") else ()
        fixed = (test, "--allow-noise", *shared, "-p", self.profile, "--out", self.out)
        return [str(word) for word in (TTFWD, "bench", *fixed, *words)]

    def __call__(
        self, test: str, *words: str | Path, code: int = NOT_PUBLISHABLE, may_share: bool = True
    ) -> Output:
        """What it prints, once its exit code is right. It runs in this process, which saves its start."""
        done = CliRunner(env=self.environment).invoke(
            main, self.command(test, *words, may_share=may_share)[1:]
        )
        assert done.exit_code == code, f"{done.exception!r}\n{done.stdout}{done.stderr}"
        assert isinstance(done.exception, SystemExit | None)
        return Output(done.stdout, done.stderr)

    @contextmanager
    def meanwhile(self, act: Callable[[], object]) -> Iterator[None]:
        """Do something once a trial of `mrr` is over. What it raises is raised after the body."""

        def run() -> None:
            wait_until(lambda: self.measures("mrr"), "a trial of the device")
            act()

        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(run)
            yield
            done.result()

    @property
    def environment(self) -> dict[str, str]:
        return private_environment(self.runtime_directory)

    @property
    def result(self) -> Result:
        return self.stored.result

    @property
    def stored(self) -> StoredResult:
        return load(self.out)

    @contextmanager
    def in_background(self, test: str, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            self.command(test, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def measures(self, purpose: str) -> bool:
        """Whether a trial of that purpose is in the journal."""
        try:
            *lines, _ = (self.out / "trials.jsonl").read_text().split("\n")  # the last is being written
        except OSError:
            return False
        return any(purpose in json.loads(line)["purpose"] for line in lines)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BenchRun]:
    """Afterwards, whatever was measured has left no namespace and no instance."""
    before = set(NETNS.iterdir())
    it = BenchRun(tmp_path)
    yield it
    assert set(NETNS.iterdir()) == before
    assert [path.name for path in (tmp_path / "run").glob("*.sock")] == []


def every_loss_has_a_place(result: Result) -> bool:
    return result.lost.unexplained == 0


# ---------------------------------------------------------------------------------------------------- quick


def test_quick_needs_nothing_and_leaves_a_result(bench: BenchRun) -> None:
    bench("quick", "--max-time", "3")
    result = bench.result
    assert (result.test, result.complete, result.publishable) == ("quick", True, False)
    assert (result.dut.kind, len(result.dut.devices)) == ("config", 2)
    assert [goal.name for goal in result.goals] == ["quick_ndr", "quick_pdr"]
    assert result.tester.selftest is not None
    assert result.tester.selftest.max_load_per_s > 0
    assert result.trials_counted == len(bench.stored.trials)
    assert every_loss_has_a_place(result)
    assert (bench.out / "dut.log").exists()
    # What was measured can be measured again.
    assert run(TTFWD, "check", bench.out / "dut.toml").stdout.endswith("2 ports\n")


def test_json_is_the_result_and_nothing_else(bench: BenchRun) -> None:
    done = bench("selftest", "--json")
    assert done.stderr == ""
    assert Result.model_validate_json(done.stdout) == bench.result
    assert bench.result.dut.kind == "none"


def test_an_interrupted_measurement_keeps_what_it_has(bench: BenchRun) -> None:
    with bench.in_background("quick") as process:
        wait_until(lambda: bench.measures("search"), "a trial of the search")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=STOP_TIMEOUT_S)
    assert process.returncode == NOT_PUBLISHABLE, errors
    assert "INTERRUPTED" in output
    assert not bench.result.complete
    assert bench.result.trials_counted > 0
    assert any("interrupted" in reason for reason in bench.result.why_not)


def test_an_instance_ends_with_the_measurement_that_started_it(bench: BenchRun) -> None:
    """Also with one that is killed: the fixture asserts that its namespaces are gone."""
    with bench.in_background("quick") as process:
        wait_until(lambda: bench.measures("search"), "a trial of the search")
        assert list(bench.runtime_directory.glob("*.sock"))
        process.kill()
        process.wait()
    wait_until(lambda: not list(bench.runtime_directory.glob("*.sock")), "the end of the instance")
    wait_until(lambda: not list(NETNS.glob("ttfwd-quick-*")), "the end of its namespaces")


def test_what_a_killed_self_test_left_is_removed_by_the_next() -> None:
    ended = run("sh", "-c", "echo $$").stdout.strip()
    left = f"ttfwd-selftest-{ended}"
    ip("netns", "add", left)
    with loopback(1500) as ends:
        assert not namespace_exists(left)
        assert all(device_exists(end.netns, end.device) for end in ends)
    assert not list(NETNS.glob("ttfwd-selftest-*"))


# ----------------------------------------------------------------------------------------- devices under test


@pytest.mark.parametrize("driver", ["tap", "packet"])
def test_an_instance_that_runs_is_measured_and_goes_on(bench: BenchRun, driver: str) -> None:
    """Also where the tester's devices are the other ends of veths."""
    name = unique("b")
    with lab(driver, driver) as there:
        with instance(there.config("xconnect"), name=name, runtime_directory=bench.runtime_directory) as it:
            bench("mrr", "--dut", name, "--directions", "2")
            assert it.process.poll() is None
        result = bench.result
    assert result.dut.kind == "instance"
    assert result.dut.devices == tuple(f"{side.netns}/{side.device}" for side in there.sides)
    assert result.mrr is not None
    assert len(result.mrr.received_per_s) == 2
    assert result.mrr.mean_per_s > 0
    assert every_loss_has_a_place(result)
    assert [way.direction for way in bench.stored.trials[-1].ways] == ["forward", "backward"]


def test_a_configuration_is_started_for_each_run(bench: BenchRun, tmp_path: Path) -> None:
    with lab("tap", "tap") as there:
        path = tmp_path / "dut.toml"
        path.write_text(there.config("bridge", name=unique("b")))
        bench("mrr", "--dut", path, "--repeat", "2")
    assert bench.result.mrr is not None
    assert len(bench.result.mrr.received_per_s) == 4
    assert {trial.run for trial in bench.stored.trials if trial.purpose == "mrr"} == {1, 2}
    assert every_loss_has_a_place(bench.result)


@contextmanager
def bridge() -> Iterator[tuple[str, str]]:
    """A bridge of the kernel between two veths, as `--external` takes their ends."""
    with namespace() as netns:
        ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0", netns=netns)
        for number in (0, 1):
            ip("link", "add", f"in{number}", "type", "veth", "peer", "name", f"out{number}", netns=netns)
            ip("link", "set", f"in{number}", "master", "br0", "up", netns=netns)
            ip("link", "set", f"out{number}", "up", netns=netns)
        ip("link", "set", "br0", "up", netns=netns)
        yield f"{netns}/out0", f"{netns}/out1"


def test_anything_between_two_devices_is_measured(bench: BenchRun) -> None:
    with bridge() as ends:
        bench("loss", "--external", *ends)
    result = bench.result
    assert (result.dut.kind, result.dut.devices) == ("external", ends)
    assert result.loss_curve[0].received_per_s > 0
    assert every_loss_has_a_place(result)


def test_a_device_that_drops_everything_has_a_result_that_says_so(bench: BenchRun) -> None:
    with bridge() as ends:
        ip("link", "set", "br0", "down", netns=ends[0].partition("/")[0])
        bench("latency", "--external", *ends, "--max-time", "2")
    result = bench.result
    assert not result.complete
    assert any("there is no PDR to take a load from" in reason for reason in result.why_not)
    assert all(run.lower_per_s is None for goal in result.goals for run in goal.runs)
    assert result.lost.dut["inside"] > 0


def test_a_device_that_vanishes_ends_the_measurement_and_is_named(bench: BenchRun) -> None:
    bench.profile.write_text(ENDLESS)
    with bridge() as ends:
        netns = ends[0].partition("/")[0]
        with bench.meanwhile(lambda: ip("link", "delete", "out0", netns=netns)):
            bench("mrr", "--external", *ends)
    assert not bench.result.complete
    assert any("out0" in reason for reason in bench.result.why_not)


def test_an_instance_that_stops_meanwhile_ends_the_measurement(bench: BenchRun) -> None:
    bench.profile.write_text(ENDLESS)
    name = unique("b")
    with (
        lab("tap", "tap") as there,
        instance(there.config("xconnect"), name=name, runtime_directory=bench.runtime_directory) as it,
        bench.meanwhile(it.stop),
    ):
        bench("mrr", "--dut", name)
    assert not bench.result.complete
    assert bench.result.mrr is not None


# ---------------------------------------------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def running() -> Iterator[Instance]:
    """An instance that runs between taps."""
    with lab("tap", "tap") as there, instance(there.config("xconnect")) as it:
        yield it


@pytest.mark.parametrize("test", ["latency", "burst", "soak", "reset", "reconf"])
def test_every_test_has_its_part_of_the_result(bench: BenchRun, running: Instance, test: str) -> None:
    bench.runtime_directory = running.directory
    bench(test, "--dut", running.name, "--rate", "2000")
    result = bench.result
    assert result.complete, result.why_not
    assert every_loss_has_a_place(result)
    match test:
        case "latency":
            (row,) = result.latency
            assert (row.load, row.trials, row.intended_per_s) == ("rate_50", 2, 1000.0)
            assert row.path.samples > 0
        case "burst":
            assert result.burst is not None
            assert result.burst.max_frames > 0
        case "soak":
            assert result.soak is not None
            assert (result.soak.load_per_s, result.soak.duration_s) == (1800.0, 0.4)
        case "reset":
            (outage,) = result.outages
            assert outage.event == "worker 0 killed"
            assert "lost_in_crash" in result.lost.dut or outage.lost == result.lost.total
        case "reconf":
            assert [outage.event.split()[-1] for outage in result.outages] == ["connected", "deleted"]


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("mrr",), USAGE, "no device under test"),
        (("mrr", "--dut", "nobody"), NOT_RUNNING, 'instance "nobody" is not running'),
        (("mrr", "--dut", "/nowhere.toml"), USAGE, "/nowhere.toml: can't be read"),
        (("mrr", "--external", "lo", "nix0"), FAILED, "nix0: there is no such device"),
        (("mrr", "--external", "nowhere/a", "lo"), FAILED, 'network namespace "nowhere" doesn\'t exist'),
        (("mrr", "--external", "lo", "lo"), USAGE, "lo twice"),
        (("mrr", "--external", "a/", "b"), USAGE, '"a/" is no device'),
        (("mrr", "--external", "lo", "nix0", "--dut", "x"), USAGE, "name one"),
        (("reset", "--external", "lo", "nix0"), USAGE, "reset is of an instance"),
        (("soak", "--external", "lo", "nix0", "--dut-cpus", "9999"), USAGE, "--dut-cpus: CPU 9999"),
        (("mrr", "--external", "lo", "nix0", "--repeat", "2"), USAGE, "--repeat needs a DUT"),
        (("selftest", "--sizes", "7"), USAGE, "size 7"),
        (("selftest", "--tester-cpus", "9999"), USAGE, "--tester-cpus: CPU 9999"),
        (("selftest", "--pcap", "/nowhere.pcap"), USAGE, "leave out flows"),
        (("ndrpdr", "--dut", "x", "--goal", "best"), USAGE, "--goal: \"best\" is not one of"),
        (("mrr", "--dut", "x", "--ports", "a"), USAGE, "not two ports"),
    ],
)  # fmt: skip
def test_bad_input_is_told_and_leaves_nothing(
    bench: BenchRun, words: tuple[str, ...], code: int, says: str
) -> None:
    assert says in bench(*words, code=code).stderr
    assert not bench.out.exists()


@pytest.mark.parametrize(
    ("mode", "ports", "says"),
    [
        ("macswap", ("a", "b"), "in mode macswap, in which no packet goes from one port to another"),
        ("bridge", ("a",), "has 1 port: a measurement needs two"),
    ],
)
def test_a_configuration_that_forwards_nothing_is_refused(
    bench: BenchRun, tmp_path: Path, mode: str, ports: tuple[str, ...], says: str
) -> None:
    path = tmp_path / "dut.toml"
    path.write_text(f'mode = "{mode}"\n' + "".join(f'[[port]]\nname = "{port}"\n' for port in ports))
    assert says in bench("mrr", "--dut", path, code=USAGE).stderr


def test_cpus_of_the_device_under_test_are_refused_to_the_tester(bench: BenchRun, tmp_path: Path) -> None:
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    path = tmp_path / "dut.toml"
    path.write_text(
        f'queues = {cpus.count(",") + 1}\ncpus = "{cpus}"\n'
        '[[port]]\nname = "a"\npeer = "b"\n[[port]]\nname = "b"\n'
    )
    said = bench("mrr", "--dut", path, code=USAGE, may_share=False).stderr
    assert "leaves none to the tester" in said
    assert "--allow-shared-cpus" in said


def test_a_result_is_never_overwritten(bench: BenchRun) -> None:
    bench.out.mkdir()
    (bench.out / "result.json").write_text("{}")
    assert "of another measurement" in bench("selftest", code=USAGE).stderr
    assert (bench.out / "result.json").read_text() == "{}"


def test_a_full_disk_ends_the_measurement_and_keeps_what_is_there(bench: BenchRun, tmp_path: Path) -> None:
    bench.profile.write_text(ENDLESS)
    with small_disk(tmp_path / "disk", pages=1200) as disk, bridge() as ends:
        bench.out = disk.path / "result"
        with bench.meanwhile(disk.fill):
            bench("mrr", "--external", *ends)
        assert any("No space left" in reason for reason in bench.result.why_not)
        assert bench.result.trials_counted == len(bench.stored.trials)


def test_a_port_that_is_no_veth_needs_the_testers_device_named(bench: BenchRun) -> None:
    """Bridges stand for NICs: they have no other end."""
    name = unique("b")
    with namespace() as netns:
        for device in ("d0", "d1"):
            ip("link", "add", device, "type", "bridge", netns=netns)
        ports = "".join(
            f'[[port]]\nname = "{device}"\ndriver = "packet"\nnetns = "{netns}"\n' for device in ("d0", "d1")
        )
        text = ports.replace('name = "d0"\n', 'name = "d0"\npeer = "d1"\n')
        with instance(text, name=name, runtime_directory=bench.runtime_directory):
            said = bench("mrr", "--dut", name, code=USAGE).stderr
    assert "d0 is no veth" in said
    assert "--ends" in said
