# SPDX-License-Identifier: Apache-2.0
# Made by `python -m native.stub` from the C headers: change those, and make it again.
#
# Only `ffi` and `lib` exist at run time. Import a type `if TYPE_CHECKING`.
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, Literal, Self, TypeVar, overload

from typing_extensions import Buffer

_T = TypeVar("_T")
_CDataT = TypeVar("_CDataT", bound=CData)

class CData:
    def __add__(self, count: int, /) -> Self: ...

class CBuffer:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...

class Array(CData, Generic[_T]):
    def __getitem__(self, index: int, /) -> _T: ...
    def __setitem__(self, index: int, value: _T, /) -> None: ...
    def __iter__(self) -> Iterator[_T]: ...
    def __len__(self) -> int: ...

# Fields that are arrays, and may be set as a whole.
class _Chars:
    def __get__(self, struct: CData, owner: type[CData]) -> Array[bytes]: ...
    def __set__(self, struct: CData, value: bytes) -> None: ...

class _Integers:
    def __get__(self, struct: CData, owner: type[CData]) -> Array[int]: ...
    def __set__(self, struct: CData, value: Sequence[int]) -> None: ...

class ttf_programs(CData): ...
class ttf_runner(CData): ...

class ttf_template(CData):
    udp_sum: int
    ip_sum: int
    address: int
    frame_bytes: int
    reserved: int
    header: _Integers

class ttf_places(CData):
    ip_checksum: int
    address: int
    port: int
    udp_checksum: int
    stamp: int

class ttf_histogram(CData):
    samples: int
    sum_ns: int
    least_ns: int
    max_ns: int
    buckets: _Integers

class ttf_generator_config(CData):
    places: Array[ttf_places]
    frame_bytes: int
    ways: int
    order_length: int
    flows: int
    random: int
    seed: int
    to_stack: int
    ifindex: _Integers
    order: _Integers
    templates: Array[ttf_template]

class ttf_sent(CData):
    frames: int
    order_at: int
    lateness: ttf_histogram

class ttf_generator(CData):
    start_ns: int
    interval: int
    slots: int
    turns: int
    slot: int
    due: int
    mark_ns: int
    ways: Array[ttf_sent]

class ttf_mark(CData):
    number: _Integers

class ttf_receiver_config(CData):
    ip: int
    source4: int
    sink4: int
    source6: int
    sink6: int

class ttf_receiver(CData):
    start_ns: int
    floor: int
    next: int
    last_ns: int
    longest_gap_ns: int

class ttf_received(CData):
    frames: int
    duplicates: int
    reordered: int
    reordered_extent: int
    stale: int
    beyond: int
    foreign: int
    previous: int
    previous_path_ns: int
    jitter: int
    path: ttf_histogram
    response: ttf_histogram
    ipdv: ttf_histogram

class ttf_filter(CData):
    ifindex: int
    handle: int
    priority: int
    made_clsact: bool

class ttf_run_config(CData):
    batch: int
    bytes: int
    frame: _Integers

class ttf_payload(CData):
    stamp: int
    checksum: int
    sum: int
    is_udp: bool

class ttf_replay_frame(CData):
    bytes: CData
    length: int
    has_stamp: bool
    payload: ttf_payload

class ttf_replay(CData):
    count: int
    stamped: int
    bytes: CData
    frames: Array[ttf_replay_frame]

class ttf_packet_source(CData):
    config: ttf_generator_config
    frames: Array[CData]
    replay: ttf_replay

class ttf_packet_sent(CData):
    refused: int
    unstamped: int

class ttf_packet_run(CData):
    schedule: ttf_generator
    failed_way: int
    ways: Array[ttf_packet_sent]
    marks: Array[ttf_mark]

class ttf_stamp_clock(CData):
    id: int
    drifts: int
    read_ns: int
    ahead_ns: int
    drift_ppt: int
    readings: int
    uncertainty_ns: int
    step_ns: int

class ttf_nic_stamps(CData):
    clock_fd: int
    was_flags: int
    was_tx_type: int
    was_rx_filter: int
    changed: bool

class ttf_packet_receiver(CData):
    device: _Chars
    any: int
    config: ttf_receiver_config
    fd: int
    nic: ttf_nic_stamps
    opened_ns: int
    clock: ttf_stamp_clock
    without_nic_stamp: int
    dropped: int
    all: ttf_receiver
    received: ttf_received
    window: CData
    ring: CData
    next_block: int
    stop: int

class Lib:
    TTF_CATCH_UP: int
    TTF_FLOW_FIRST_PORT: int
    TTF_FLOW_PORTS_LOG2: int
    TTF_FRACTION_LOG2: int
    TTF_HISTOGRAM_BUCKETS: int
    TTF_HISTOGRAM_MAX_LOG2: int
    TTF_HISTOGRAM_STEPS_LOG2: int
    TTF_JITTER_FRACTION_LOG2: int
    TTF_MAX_ORDER: int
    TTF_MAX_SECONDS: int
    TTF_MAX_SIZES: int
    TTF_MAX_WAYS: int
    TTF_PACKET_RECEIVER_BLOCKS: int
    TTF_PACKET_RECEIVER_BLOCK_BYTES: int
    TTF_RUN_FRAME_BYTES: int
    TTF_STAMP_PORT: int
    TTF_TEMPLATE_HEADER_BYTES: int
    TTF_WINDOW_LOG2: int
    TTF_WINDOW_WORDS: int
    def ttf_load_generator(self, config: ttf_generator_config, /) -> ttf_programs: ...
    def ttf_load_receiver(self, config: ttf_receiver_config, cpus: int, /) -> ttf_programs: ...
    def ttf_programs_free(self, programs: ttf_programs, /) -> None: ...
    def ttf_program_fd(self, programs: ttf_programs, name: CData | bytes, /) -> int: ...
    def ttf_map_memory(self, programs: ttf_programs, name: CData | bytes, /) -> CData: ...
    def ttf_set_device(self, programs: ttf_programs, way: int, ifindex: int, /) -> int: ...
    def ttf_attach_xdp(self, program: int, ifindex: int, /) -> int: ...
    def ttf_attach_tc(self, program: int, ifindex: int, /) -> int: ...
    def ttf_filter_attach(self, program: int, ifindex: int, filter: ttf_filter, /) -> int: ...
    def ttf_filter_detach(self, filter: ttf_filter, /) -> int: ...
    def ttf_runner_new(
        self, program: int, generator: ttf_generator, cpu: int, nice: int, /
    ) -> ttf_runner: ...
    def ttf_runner_pid(self, runner: ttf_runner, /) -> int: ...
    def ttf_runner_begin(self, runner: ttf_runner, config: ttf_run_config, /) -> int: ...
    def ttf_runner_error(self, runner: ttf_runner, /) -> int: ...
    def ttf_runner_stop(self, runner: ttf_runner, /) -> int: ...
    def ttf_runner_preemptions(self, runner: ttf_runner, /) -> int: ...
    def ttf_runner_cpu_ns(self, runner: ttf_runner, /) -> int: ...
    def ttf_runner_free(self, runner: ttf_runner, /) -> None: ...
    def ttf_window_take(self, words: CData, from_: int, to: int, /) -> int: ...
    def ttf_replay_new(self, bytes: CData | bytes, lengths: CData | bytes, count: int, /) -> ttf_replay: ...
    def ttf_replay_free(self, replay: ttf_replay, /) -> None: ...
    def ttf_packet_sender_open(self, device: CData | bytes, /) -> int: ...
    def ttf_packet_run_new(self, /) -> ttf_packet_run: ...
    def ttf_packet_run_free(self, run: ttf_packet_run, /) -> None: ...
    def ttf_packet_runner_new(
        self, source: ttf_packet_source, sockets: CData | bytes, run: ttf_packet_run, cpu: int, nice: int, /
    ) -> ttf_runner: ...
    def ttf_packet_receiver_open(self, receiver: ttf_packet_receiver, /) -> int: ...
    def ttf_packet_receiver_close(self, receiver: ttf_packet_receiver, /) -> None: ...
    def ttf_packet_receiver_reset(self, receiver: ttf_packet_receiver, /) -> None: ...
    def ttf_packet_receive(self, receiver: ttf_packet_receiver, /) -> int: ...

class FFI:
    NULL: CData
    errno: int
    @overload
    def new(
        self, cdecl: Literal["struct ttf_template *"], init: Mapping[str, object] = ..., /
    ) -> ttf_template: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_places *"], init: Mapping[str, object] = ..., /
    ) -> ttf_places: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_histogram *"], init: Mapping[str, object] = ..., /
    ) -> ttf_histogram: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_generator_config *"], init: Mapping[str, object] = ..., /
    ) -> ttf_generator_config: ...
    @overload
    def new(self, cdecl: Literal["struct ttf_sent *"], init: Mapping[str, object] = ..., /) -> ttf_sent: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_generator *"], init: Mapping[str, object] = ..., /
    ) -> ttf_generator: ...
    @overload
    def new(self, cdecl: Literal["struct ttf_mark *"], init: Mapping[str, object] = ..., /) -> ttf_mark: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_receiver_config *"], init: Mapping[str, object] = ..., /
    ) -> ttf_receiver_config: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_receiver *"], init: Mapping[str, object] = ..., /
    ) -> ttf_receiver: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_received *"], init: Mapping[str, object] = ..., /
    ) -> ttf_received: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_filter *"], init: Mapping[str, object] = ..., /
    ) -> ttf_filter: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_run_config *"], init: Mapping[str, object] = ..., /
    ) -> ttf_run_config: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_payload *"], init: Mapping[str, object] = ..., /
    ) -> ttf_payload: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_replay_frame *"], init: Mapping[str, object] = ..., /
    ) -> ttf_replay_frame: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_replay *"], init: Mapping[str, object] = ..., /
    ) -> ttf_replay: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_packet_source *"], init: Mapping[str, object] = ..., /
    ) -> ttf_packet_source: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_packet_sent *"], init: Mapping[str, object] = ..., /
    ) -> ttf_packet_sent: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_packet_run *"], init: Mapping[str, object] = ..., /
    ) -> ttf_packet_run: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_stamp_clock *"], init: Mapping[str, object] = ..., /
    ) -> ttf_stamp_clock: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_nic_stamps *"], init: Mapping[str, object] = ..., /
    ) -> ttf_nic_stamps: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_packet_receiver *"], init: Mapping[str, object] = ..., /
    ) -> ttf_packet_receiver: ...
    @overload
    def new(self, cdecl: Literal["int[]"], init: Sequence[int], /) -> Array[int]: ...
    @overload
    def new(self, cdecl: Literal["uint8_t[]"], init: bytes | int, /) -> CData: ...
    @overload
    def new(self, cdecl: Literal["uint32_t[]"], init: Sequence[int], /) -> Array[int]: ...
    @overload
    def new(self, cdecl: Literal["void *[]"], init: Sequence[CData], /) -> Array[CData]: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_template *"], source: CData, /) -> ttf_template: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_places *"], source: CData, /) -> ttf_places: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_histogram *"], source: CData, /) -> ttf_histogram: ...
    @overload
    def cast(
        self, cdecl: Literal["struct ttf_generator_config *"], source: CData, /
    ) -> ttf_generator_config: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_sent *"], source: CData, /) -> ttf_sent: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_generator *"], source: CData, /) -> ttf_generator: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_mark *"], source: CData, /) -> ttf_mark: ...
    @overload
    def cast(
        self, cdecl: Literal["struct ttf_receiver_config *"], source: CData, /
    ) -> ttf_receiver_config: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_receiver *"], source: CData, /) -> ttf_receiver: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_received *"], source: CData, /) -> ttf_received: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_filter *"], source: CData, /) -> ttf_filter: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_run_config *"], source: CData, /) -> ttf_run_config: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_payload *"], source: CData, /) -> ttf_payload: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_replay_frame *"], source: CData, /) -> ttf_replay_frame: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_replay *"], source: CData, /) -> ttf_replay: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_packet_source *"], source: CData, /) -> ttf_packet_source: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_packet_sent *"], source: CData, /) -> ttf_packet_sent: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_packet_run *"], source: CData, /) -> ttf_packet_run: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_stamp_clock *"], source: CData, /) -> ttf_stamp_clock: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_nic_stamps *"], source: CData, /) -> ttf_nic_stamps: ...
    @overload
    def cast(
        self, cdecl: Literal["struct ttf_packet_receiver *"], source: CData, /
    ) -> ttf_packet_receiver: ...
    @overload
    def cast(self, cdecl: Literal["void *"], source: CData, /) -> CData: ...
    @overload
    def addressof(self, cdata: _CDataT, /) -> _CDataT: ...
    @overload
    def addressof(self, cdata: CData, field: str, /) -> CData: ...
    def buffer(self, cdata: CData, size: int = -1, /) -> CBuffer: ...
    def from_buffer(self, python_buffer: Buffer, require_writable: bool = False) -> CData: ...
    def memmove(self, dest: CData | Buffer, src: CData | Buffer, n: int) -> None: ...
    def offsetof(self, cdecl: str, field: str, /) -> int: ...
    def release(self, cdata: CData, /) -> None: ...
    def sizeof(self, cdecl: str | CData, /) -> int: ...
    def string(self, cdata: CData, /) -> bytes: ...

ffi: FFI
lib: Lib
