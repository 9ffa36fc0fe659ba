# SPDX-License-Identifier: Apache-2.0
"""The generator in the kernel: one run for one way, or for two that take turns (native/tester/generator.h).

    with generator(ways, traffic, cpu=0, to_stack=False) as it:
        it.begin(load, batch=1)     # it waits for its start
        it.start(at_ns)
        ...                         # until it.finished
        it.stop()

Its process is pinned to the CPU, has the highest priority of ordinary ones, and spins there until stop().
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from forwarder.errors import TtfwdError
from forwarder.results.model import Direction, Distribution
from forwarder.tester.attached import Attached, worded
from forwarder.tester.frames import Template, places, templates
from forwarder.tester.histogram import distribution
from forwarder.tester.native import load
from forwarder.tester.programs import attached, loaded, map_memory, program_fd, succeeded, taken
from forwarder.tester.structs import cleared, counts_of
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Endpoint, Load

if TYPE_CHECKING:
    from forwarder.tester.native import ttf_generator, ttf_mark, ttf_runner

NICE = -20
CATCH_UP_FRAMES = 64  # TTF_CATCH_UP
MAX_DURATION_S = 86400  # TTF_MAX_SECONDS
_FRACTION = 1 << 16  # of a nanosecond
_BEGIN_TIMEOUT_S = 30.0
_POLL_S = 0.001


Kind = Literal["xdp", "xdp+tc", "packet"]


@dataclass(frozen=True)
class Outgoing:
    """One way's beginning: what is sent, and by which device."""

    direction: Direction
    device: Attached


class Generator:
    """Made by generator(). One trial at a time."""

    def __init__(
        self,
        ways: Sequence[Outgoing],
        shared: ttf_generator,
        marks: ttf_mark,
        runner: ttf_runner,
        frame: bytes = b"",
    ) -> None:
        """`frame`: what the kernel's program starts from."""
        self.ways = tuple(ways)
        self.pid = load().lib.ttf_runner_pid(runner)
        self._shared, self._marks, self._runner, self._frame = shared, marks, runner, frame
        self._used_marks = 0

    def begin(self, load_: Load, batch: int) -> None:
        """Start the run, which waits for start(). Raises TtfwdError."""
        native, shared = load(), self._shared
        cleared(shared)
        cleared(self._marks, self._used_marks)
        self._used_marks = 1 if load_.burst_frames else int(load_.duration_s) + 1
        shared.slots = intended_frames(load_) * len(self.ways)
        shared.interval = 0 if load_.burst_frames else round(1e9 * _FRACTION / load_.per_s / len(self.ways))
        config = native.ffi.new(
            "struct ttf_run_config *", {"batch": batch, "bytes": len(self._frame), "frame": self._frame}
        )
        self._require(-native.lib.ttf_runner_begin(self._runner, config))
        deadline = time.monotonic() + _BEGIN_TIMEOUT_S
        while not shared.turns:
            self.require_running()
            if time.monotonic() > deadline:
                raise TtfwdError(f"the generator got no turn on its CPU in {_BEGIN_TIMEOUT_S:.0f} s")
            time.sleep(_POLL_S)

    def start(self, at_ns: int) -> None:
        """When the first frame is due; CLOCK_MONOTONIC."""
        self._shared.start_ns = at_ns

    def require_running(self) -> None:
        """Raises TtfwdError if the run ended by itself."""
        self._require(-load().lib.ttf_runner_error(self._runner))

    @property
    def finished(self) -> bool:
        """Whether every frame that was due has been sent, or left out for good."""
        return self._shared.slot >= self._shared.slots

    def stop(self) -> None:
        """Return when nothing is sent any more. Raises TtfwdError."""
        self._require(-load().lib.ttf_runner_stop(self._runner))

    @property
    def preemptions(self) -> int:
        """How often the last run had to leave its CPU to others. Known after stop()."""
        return load().lib.ttf_runner_preemptions(self._runner)

    @property
    def cpu_s(self) -> float:
        """The last run's time on the CPU. Known after stop()."""
        return load().lib.ttf_runner_cpu_ns(self._runner) / 1e9

    def sent(self, way: int) -> int:
        return self._shared.ways[way].frames

    def unstamped(self, way: int) -> int:
        """Frames sent beside these, without a stamp."""
        return 0

    def refused(self, way: int) -> int | None:
        """Of those sent, the frames that the device didn't take. None: only the device knows."""
        return None

    def lateness(self, way: int) -> Distribution:
        return distribution([counts_of(self._shared.ways[way].lateness)])

    def first_of_seconds(self, way: int) -> list[int]:
        """The number of the first frame that was due in each second so far, and the number of frames sent."""
        marks = [(self._marks + second).number[way] for second in range(self._used_marks)]
        last = next((index for index in reversed(range(len(marks))) if marks[index]), 0)
        bounds = [*marks[: last + 1], self.sent(way)]
        for index in reversed(range(1, len(bounds) - 1)):
            bounds[index] = bounds[index] or bounds[index + 1]  # a second without a frame
        return bounds

    def _require(self, error: int) -> None:
        """Raises TtfwdError, unless this errno is 0."""
        if error in (errno.ESRCH, errno.EPIPE):
            raise TtfwdError("the generator's process was killed")
        if error:
            raise self._ended(OSError(error, ""))

    def _ended(self, error: OSError) -> TtfwdError:
        return worded("the kernel doesn't run the generator", error)


def intended_frames(load_: Load) -> int:
    """The frames that are due in each direction."""
    return load_.burst_frames or round(load_.per_s * load_.duration_s)


@contextmanager
def generator(ways: Sequence[Outgoing], traffic: Traffic, *, cpu: int, to_stack: bool) -> Iterator[Generator]:
    """Ready to send. `to_stack`: by the stack, so that the device selects the queue.

    Raises TtfwdError: the kernel or a device refuses.
    """
    native = load()
    config = native.ffi.new("struct ttf_generator_config *", generator_config(ways, traffic, to_stack))
    with loaded(lambda: native.lib.ttf_load_generator(config)) as programs, ExitStack() as undo:
        for index, way in enumerate(ways):
            with way.device.doing("frames can't be sent by it"):
                succeeded(native.lib.ttf_set_device(programs, index, way.device.ifindex))
        if to_stack:
            loopback = Attached.find(Endpoint("lo", ways[0].device.endpoint.netns))
            undo.enter_context(attached(programs, "select_device", "tc", loopback))
        shared = native.ffi.cast("struct ttf_generator *", map_memory(programs, "generator"))
        marks = native.ffi.cast("struct ttf_mark *", map_memory(programs, "marks"))
        with ways[0].device.place.inside():
            runner = taken(
                native.lib.ttf_runner_new(program_fd(programs, "generate"), shared, cpu, NICE),
                "the generator's process doesn't start",
            )
        undo.callback(native.lib.ttf_runner_free, runner)
        yield Generator(ways, shared, marks, runner, _longest(traffic, ways[0].direction))


def generator_config(ways: Sequence[Outgoing], traffic: Traffic, to_stack: bool) -> dict[str, object]:
    """struct ttf_generator_config."""
    native = load()
    config: dict[str, object] = {
        "places": [asdict(places(traffic, way.direction)) for way in ways],
        "frame_bytes": traffic.max_frame_bytes,
        "ways": len(ways),
        "order_length": len(traffic.order),
        "flows": traffic.flows,
        "random": traffic.flow_order == "random",
        "seed": traffic.seed,
        "to_stack": to_stack,
        "ifindex": [way.device.ifindex for way in ways],
        "order": bytes(traffic.order),
    }
    each_way = []
    for way in ways:
        sizes: list[dict[str, object]] = [_template(each) for each in templates(traffic, way.direction)]
        each_way += sizes + [{}] * (native.lib.TTF_MAX_SIZES - len(sizes))
    return config | {"templates": each_way}


def _template(template: Template) -> dict[str, object]:
    return {
        "udp_sum": template.udp_sum,
        "ip_sum": template.ip_sum,
        "address": template.first_address,
        "frame_bytes": template.frame_bytes,
        "header": template.header,
    }


def _longest(traffic: Traffic, direction: Direction) -> bytes:
    return max(templates(traffic, direction), key=lambda each: each.frame_bytes).build()
