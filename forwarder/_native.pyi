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

class ttf_guard(CData): ...
class ttf_urings(CData): ...
class ttf_worker(CData): ...

class ttf_header(CData):
    magic: int
    abi_version: int
    header_bytes: int
    total_bytes: int
    epoch: int
    workers: int
    ports: int
    ring_slots: int
    reserved: _Integers

class ttf_counters(CData):
    rx_packets: int
    rx_bytes: int
    rx_calls: int
    rx_empty_calls: int
    tx_packets: int
    tx_bytes: int
    tx_calls: int
    generated_packets: int
    copied_packets: int
    kernel_drops: int
    reserved: _Integers
    drops: _Integers
    rx_bursts: _Integers
    reserved2: _Integers

class ttf_worker_stats(CData):
    heartbeat_ns: int
    cpu_ns: int
    busy_ns: int
    running_ns: int
    rounds: int
    sleeps: int
    doorbells: int
    pool_empty_rounds: int
    pool_free_frames: int
    pool_frames: int
    reserved: _Integers
    orphans: ttf_counters

class ttf_worker_status(CData):
    state: int
    pid: int
    cpu: int
    restarts: int
    lost_in_crash: int
    started_ns: int
    reaped_ns: int
    ready_ns: int
    reserved: _Integers
    retired: ttf_counters

class ttf_device_counters(CData):
    updated_ns: int
    rx_packets: int
    rx_bytes: int
    rx_dropped: int
    rx_errors: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    tx_errors: int
    reserved: _Integers

class ttf_port_stats(CData):
    state: int
    generation: int
    queues: int
    mtu: int
    ifindex: int
    peer: int
    mac: _Integers
    name: _Chars
    driver: _Chars
    netns: _Chars
    note: _Chars
    device: ttf_device_counters
    io: _Chars
    offloads: int
    revision: int
    device_name: _Chars
    link: int
    reserved32: int
    reserved: _Integers

class ttf_ring_out_stats(CData):
    pushed: int
    dropped: int

class ttf_ring_in_stats(CData):
    popped: int
    bad: int

class ttf_instance_stats(CData):
    name: _Chars
    mode: _Chars
    steering: _Chars
    rx_mode: _Chars
    state: int
    pid: int
    started_ns: int
    started_unix_ns: int
    heartbeat_ns: int
    batch: int
    ring_slots: int
    boot_ns: int
    pid_namespace: int
    damaged: int
    reserved: _Integers

class ttf_fdb_entry(CData):
    key: int
    seen_ns: int

class ttf_fdb(CData):
    ageing_ns: int
    reserved: _Integers
    entries: Array[Array[ttf_fdb_entry]]

class ttf_frame_name(CData):
    index: int
    worker: int

class ttf_captured(CData):
    bytes: int
    event: int
    port: int
    reason: int
    worker: int
    number: int
    time_ns: int
    generation: int
    length: int
    kept: int
    offload: int
    vnet_hdr: _Integers
    reserved: int
    name: ttf_frame_name
    origin: ttf_frame_name

class ttf_capture(CData):
    head: int
    reserved: int
    records: int
    writing: int
    seen: int
    unused: _Integers
    ring: _Integers

class ttf_ring_indices(CData):
    reclaimed: int
    head: int
    claimed: int
    tail: int

class ttf_area(CData):
    offset: int
    bytes: int

class ttf_port_config(CData):
    port_id: int
    generation: int
    queues: int
    mtu: int
    peer: int
    fd: int
    plain_fd: int
    driver: int
    header_bytes: int
    offloads: int
    crossing_port: int
    urings: ttf_urings

class ttf_pktgen_config(CData):
    size: int
    flows: int
    rate: int
    src_mac: _Integers
    dst_mac: _Integers
    src_ip: _Integers
    dst_ip: _Integers

class ttf_worker_config(CData):
    id: int
    batch: int
    mode: int
    steering: int
    rx_mode: int
    spin_ns: int
    stats: CData
    rings: CData
    frames: CData
    capture: CData
    doorbells: CData

class ttf_capture_reader(CData):
    base: CData
    events: int
    ports: int
    at: int
    number: int
    begun: int
    malformed: int
    lost: int
    until_ns: int
    last_ns: int

class ttf_damage(CData):
    what: _Chars
    found: int

class ttf_discarded(CData):
    packets: int
    bytes: int
    kernel_drops: int

class ttf_noise(CData):
    duration_ns: int
    reads: int
    longest_ns: int
    gaps: int
    gaps_ns: int

class turbotap_info(CData):
    size: int
    abi_version: int
    features: int
    max_burst: int
    max_batch: int
    max_frame: int
    reserved: int

class turbotap_attach(CData):
    size: int
    tun_fd: int
    flags: int
    vnet_hdr_size: int

class turbotap_crossing(CData):
    size: int
    flags: int
    slots: int
    header_bytes: int
    bytes: int

class turbotap_port_tap(CData):
    size: int
    tun_fd: int
    vnet_hdr_size: int
    reserved: int
    scratch: _Integers

class turbotap_port_device(CData):
    size: int
    ifindex: int

class turbotap_member(CData):
    size: int
    flags: int
    slots: int
    rights: int
    bytes: int
    first: int
    number: int

class Lib:
    FDB_UNKNOWN: int
    SOL_TURBOTAP: int
    TTF_ABI_VERSION: int
    TTF_AREA_ALIGN: int
    TTF_BURST_BUCKETS: int
    TTF_CACHE_LINE: int
    TTF_CAPTURE_BYTES: int
    TTF_CAPTURE_CHUNK: int
    TTF_CAPTURE_SHIFT: int
    TTF_DESC_FLOOD: int
    TTF_DESC_OFFLOAD: int
    TTF_DISCARD_MAX: int
    TTF_DISCARD_NS: int
    TTF_DRIVER_PACKET: int
    TTF_DRIVER_TAP: int
    TTF_DRIVER_TURBOTAP_BURST: int
    TTF_DRIVER_TURBOTAP_MMSG: int
    TTF_DRIVER_TURBOTAP_ZEROCOPY: int
    TTF_DRIVER_URING: int
    TTF_DROP_BAD_DESC: int
    TTF_DROP_COUNT: int
    TTF_DROP_HAIRPIN: int
    TTF_DROP_LINK_DOWN: int
    TTF_DROP_NO_FRAME: int
    TTF_DROP_NO_PORT: int
    TTF_DROP_NO_WORKER: int
    TTF_DROP_OFFLOAD: int
    TTF_DROP_OVERSIZE: int
    TTF_DROP_RING_FULL: int
    TTF_DROP_RUNT: int
    TTF_DROP_RX_ONLY: int
    TTF_DROP_SHUTDOWN: int
    TTF_DROP_SLOTS: int
    TTF_DROP_TX_ERROR: int
    TTF_DROP_TX_FULL: int
    TTF_EVENT_COPY: int
    TTF_EVENT_COUNT: int
    TTF_EVENT_DROP: int
    TTF_EVENT_FLOOD: int
    TTF_EVENT_HANDED: int
    TTF_EVENT_PAD: int
    TTF_EVENT_RX: int
    TTF_EVENT_TX: int
    TTF_FDB_BUCKETS: int
    TTF_FDB_WAYS: int
    TTF_FRAME_HEADROOM: int
    TTF_FRAME_MAX_BYTES: int
    TTF_FRAME_STRIDE: int
    TTF_INSTANCE_BOOT: int
    TTF_INSTANCE_DRAINING: int
    TTF_INSTANCE_RUNNING: int
    TTF_INSTANCE_STOPPED: int
    TTF_LINE_PAIR: int
    TTF_LINK_DOWN: int
    TTF_LINK_GONE: int
    TTF_LINK_NO_CARRIER: int
    TTF_LINK_UNKNOWN: int
    TTF_LINK_UP: int
    TTF_MAGIC_RINGS: int
    TTF_MAGIC_STATS: int
    TTF_MAX_BATCH: int
    TTF_MAX_CHANGES: int
    TTF_MAX_PORTS: int
    TTF_MAX_WORKERS: int
    TTF_MODE_BRIDGE: int
    TTF_MODE_MACSWAP: int
    TTF_MODE_RXONLY: int
    TTF_MODE_TXONLY: int
    TTF_MODE_XCONNECT: int
    TTF_NAME_LEN: int
    TTF_NAME_SLOT: int
    TTF_NOWHERE: int
    TTF_NO_PORT: int
    TTF_OFFLOAD_CSUM: int
    TTF_OFFLOAD_TSO4: int
    TTF_OFFLOAD_TSO6: int
    TTF_OFFLOAD_TSO_ECN: int
    TTF_OFFLOAD_USO4: int
    TTF_OFFLOAD_USO6: int
    TTF_PACKET_BLOCK_BYTES: int
    TTF_PACKET_RESERVE_BYTES: int
    TTF_PACKET_SLOTS: int
    TTF_PACKET_SLOT_BYTES: int
    TTF_PACKET_TX_SLOTS: int
    TTF_PKTGEN_MAX_BYTES: int
    TTF_PKTGEN_MAX_FLOWS: int
    TTF_PKTGEN_MIN_BYTES: int
    TTF_PORT_DELETING: int
    TTF_PORT_FREE: int
    TTF_PORT_UP: int
    TTF_RUN_ATTENTION: int
    TTF_RUN_SLICE: int
    TTF_RUN_STATE_DRAIN: int
    TTF_RUN_STATE_RUN: int
    TTF_RUN_STATE_STOP: int
    TTF_RUN_STOPPED: int
    TTF_RX_ADAPTIVE: int
    TTF_RX_INTERRUPT: int
    TTF_RX_POLLING: int
    TTF_SANDBOX_CALLS: int
    TTF_SANDBOX_CGROUP: int
    TTF_SANDBOX_IPC: int
    TTF_SANDBOX_MOUNTS: int
    TTF_SANDBOX_NETWORK: int
    TTF_SANDBOX_PART_COUNT: int
    TTF_SANDBOX_UTS: int
    TTF_STEERING_FLOW: int
    TTF_STEERING_QUEUE: int
    TTF_VERDICT_DROP: int
    TTF_VERDICT_FLOOD: int
    TTF_VERDICT_PORT: int
    TTF_VNET_HDR_BYTES: int
    TTF_WORKER_BACKOFF: int
    TTF_WORKER_DRAINING: int
    TTF_WORKER_EXITED: int
    TTF_WORKER_FAILED: int
    TTF_WORKER_NONE: int
    TTF_WORKER_READY: int
    TTF_WORKER_STARTING: int
    TTF_WORKER_STATE_COUNT: int
    TUNGETSOCKFD: int
    TURBOTAP_ABI_VERSION: int
    TURBOTAP_ATTACH: int
    TURBOTAP_ATTACH_BATCH: int
    TURBOTAP_ATTACH_CLOEXEC: int
    TURBOTAP_ATTACH_NONBLOCK: int
    TURBOTAP_BURST: int
    TURBOTAP_CELL_HEADERS: int
    TURBOTAP_CELL_NO_VNET: int
    TURBOTAP_COPY_OUT: int
    TURBOTAP_COPY_RELEASE: int
    TURBOTAP_CREATE: int
    TURBOTAP_CROSS: int
    TURBOTAP_CROSSING_BATCH: int
    TURBOTAP_CROSSING_BYTES: int
    TURBOTAP_CROSSING_CLOEXEC: int
    TURBOTAP_CROSSING_MEMBERS: int
    TURBOTAP_CROSSING_PORTS: int
    TURBOTAP_CROSSING_SLOTS: int
    TURBOTAP_DEVICE: CData
    TURBOTAP_FEATURE_BATCH: int
    TURBOTAP_FEATURE_BURST: int
    TURBOTAP_FEATURE_CROSSING: int
    TURBOTAP_GET_INFO: int
    TURBOTAP_HELD: int
    TURBOTAP_IOC_MAGIC: int
    TURBOTAP_JOIN: int
    TURBOTAP_LENGTHS: int
    TURBOTAP_LISTEN: int
    TURBOTAP_MAP_CELLS: int
    TURBOTAP_MAP_LISTS: int
    TURBOTAP_PORT_DELETE: int
    TURBOTAP_PORT_DEVICE: int
    TURBOTAP_PORT_TAP: int
    TURBOTAP_RELEASE: int
    TURBOTAP_REWRITE_FREE: int
    TURBOTAP_RIGHT_COPY: int
    TURBOTAP_RIGHT_REWRITE: int
    TURBOTAP_SEND_KEEP: int
    def ttf_drop_name(self, reason: int, /) -> CData: ...
    def ttf_drop_meaning(self, reason: int, /) -> CData: ...
    def ttf_event_name(self, event: int, /) -> CData: ...
    def ttf_worker_state_name(self, state: int, /) -> CData: ...
    def ttf_stats_bytes(self, workers: int, ports: int, /) -> int: ...
    def ttf_rings_bytes(self, workers: int, slots: int, /) -> int: ...
    def ttf_frames_bytes(self, frames: int, /) -> int: ...
    def ttf_stats_area(self, workers: int, ports: int, worker: int, /) -> ttf_area: ...
    def ttf_rings_area(self, workers: int, slots: int, worker: int, /) -> ttf_area: ...
    def ttf_fdb_area(self, workers: int, /) -> ttf_area: ...
    def ttf_stats_prepare(self, base: CData, workers: int, ports: int, epoch: int, /) -> None: ...
    def ttf_stats_publish(self, base: CData, /) -> None: ...
    def ttf_rings_init(
        self, base: CData, workers: int, slots: int, frames: int, start: int, ageing_ns: int, epoch: int, /
    ) -> None: ...
    def ttf_header_check(self, base: CData, bytes: int, magic: int, /) -> int: ...
    def ttf_stats_instance(self, base: CData, /) -> ttf_instance_stats: ...
    def ttf_stats_status(self, base: CData, worker: int, /) -> ttf_worker_status: ...
    def ttf_stats_port(self, base: CData, port: int, /) -> ttf_port_stats: ...
    def ttf_stats_worker(self, base: CData, worker: int, /) -> ttf_worker_stats: ...
    def ttf_stats_queue(self, base: CData, port: int, worker: int, /) -> ttf_counters: ...
    def ttf_stats_ring_out(self, base: CData, from_: int, to: int, /) -> ttf_ring_out_stats: ...
    def ttf_stats_ring_in(self, base: CData, from_: int, to: int, /) -> ttf_ring_in_stats: ...
    def ttf_rings_fdb(self, base: CData, /) -> ttf_fdb: ...
    def ttf_fdb_flush(self, fdb: ttf_fdb, port: int, /) -> int: ...
    def ttf_worker_new(self, config: ttf_worker_config, /) -> ttf_worker: ...
    def ttf_worker_free(self, worker: ttf_worker, /) -> None: ...
    def ttf_worker_join(self, worker: ttf_worker, member: int, first: int, slots: int, /) -> int: ...
    def ttf_worker_attach(self, worker: ttf_worker, config: ttf_port_config, /) -> int: ...
    def ttf_worker_update_port(self, worker: ttf_worker, port_id: int, mtu: int, offloads: int, /) -> int: ...
    def ttf_worker_set_peer(self, worker: ttf_worker, port_id: int, peer: int, /) -> int: ...
    def ttf_worker_pktgen(self, worker: ttf_worker, port_id: int, config: ttf_pktgen_config, /) -> int: ...
    def ttf_worker_detach(self, worker: ttf_worker, port_id: int, /) -> int: ...
    def ttf_worker_queue_error(self, worker: ttf_worker, port_id: int, /) -> int: ...
    def ttf_worker_run(self, worker: ttf_worker, slice_ns: int, attention: int, /) -> int: ...
    def ttf_worker_attention(self, worker: ttf_worker, /) -> int: ...
    def ttf_capture_reader_start(self, reader: ttf_capture_reader, /) -> None: ...
    def ttf_capture_read(self, reader: ttf_capture_reader, out: CData, /) -> int: ...
    def ttf_capture_seen(self, base: CData, /) -> int: ...
    def ttf_guard_new(self, stats: CData, /) -> ttf_guard: ...
    def ttf_guard_free(self, guard: ttf_guard, /) -> None: ...
    def ttf_guard_check(self, guard: ttf_guard, worker: int, damage: ttf_damage, /) -> bool: ...
    def ttf_recover_worker(self, guard: ttf_guard, rings: CData, worker: int, /) -> int: ...
    def ttf_recover_crossing(self, guard: ttf_guard, rings: CData, worker: int, member: int, /) -> int: ...
    def ttf_recover_ring(self, guard: ttf_guard, rings: CData, from_: int, to: int, /) -> None: ...
    def ttf_recover_waiting(self, guard: ttf_guard, rings: CData, worker: int, reason: int, /) -> int: ...
    def ttf_recover_discarded(
        self, guard: ttf_guard, port: int, worker: int, packets: int, bytes: int, kernel_drops: int, /
    ) -> None: ...
    def ttf_retire_port(self, guard: ttf_guard, port: int, /) -> None: ...
    def ttf_rings_contradiction(self, rings: CData, first: int, seen: ttf_ring_indices, /) -> int: ...
    def ttf_run_state_set(self, rings: CData, worker: int, run_state: int, /) -> None: ...
    def ttf_run_state_seen(self, rings: CData, worker: int, /) -> int: ...
    def ttf_run_state_attention(self, rings: CData, worker: int, /) -> None: ...
    def ttf_run_state_capture(self, rings: CData, worker: int, capture: int, /) -> None: ...
    def ttf_run_state_reset(self, rings: CData, worker: int, /) -> None: ...
    def ttf_run_state_live(self, rings: CData, worker: int, lives: bool, /) -> None: ...
    def ttf_rings_waiting(self, rings: CData, /) -> int: ...
    def ttf_sandbox_part_name(self, part: int, /) -> CData: ...
    def ttf_sandbox_enter(self, uid: int, gid: int, parent: int, /) -> int: ...
    def ttf_sandbox_confine(self, /) -> int: ...
    def ttf_map(self, fd: int, bytes: int, writable: bool, /) -> CData: ...
    def ttf_map_writable(self, base: CData, area: ttf_area, fd: int, /) -> int: ...
    def ttf_unmap(self, base: CData, bytes: int, /) -> None: ...
    def ttf_urings_new(self, /) -> ttf_urings: ...
    def ttf_uring_probe(self, /) -> int: ...
    def ttf_queue_discard(
        self, driver: int, fd: int, header_bytes: int, discarded: ttf_discarded, /
    ) -> int: ...
    def ttf_noise_listen(self, duration_ns: int, gap_ns: int, noise: ttf_noise, /) -> None: ...

class FFI:
    NULL: CData
    errno: int
    @overload
    def new(
        self, cdecl: Literal["struct ttf_header *"], init: Mapping[str, object] = ..., /
    ) -> ttf_header: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_counters *"], init: Mapping[str, object] = ..., /
    ) -> ttf_counters: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_worker_stats *"], init: Mapping[str, object] = ..., /
    ) -> ttf_worker_stats: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_worker_status *"], init: Mapping[str, object] = ..., /
    ) -> ttf_worker_status: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_device_counters *"], init: Mapping[str, object] = ..., /
    ) -> ttf_device_counters: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_port_stats *"], init: Mapping[str, object] = ..., /
    ) -> ttf_port_stats: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_ring_out_stats *"], init: Mapping[str, object] = ..., /
    ) -> ttf_ring_out_stats: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_ring_in_stats *"], init: Mapping[str, object] = ..., /
    ) -> ttf_ring_in_stats: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_instance_stats *"], init: Mapping[str, object] = ..., /
    ) -> ttf_instance_stats: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_fdb_entry *"], init: Mapping[str, object] = ..., /
    ) -> ttf_fdb_entry: ...
    @overload
    def new(self, cdecl: Literal["struct ttf_fdb *"], init: Mapping[str, object] = ..., /) -> ttf_fdb: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_frame_name *"], init: Mapping[str, object] = ..., /
    ) -> ttf_frame_name: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_captured *"], init: Mapping[str, object] = ..., /
    ) -> ttf_captured: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_capture *"], init: Mapping[str, object] = ..., /
    ) -> ttf_capture: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_ring_indices *"], init: Mapping[str, object] = ..., /
    ) -> ttf_ring_indices: ...
    @overload
    def new(self, cdecl: Literal["struct ttf_area *"], init: Mapping[str, object] = ..., /) -> ttf_area: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_port_config *"], init: Mapping[str, object] = ..., /
    ) -> ttf_port_config: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_pktgen_config *"], init: Mapping[str, object] = ..., /
    ) -> ttf_pktgen_config: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_worker_config *"], init: Mapping[str, object] = ..., /
    ) -> ttf_worker_config: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_capture_reader *"], init: Mapping[str, object] = ..., /
    ) -> ttf_capture_reader: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_damage *"], init: Mapping[str, object] = ..., /
    ) -> ttf_damage: ...
    @overload
    def new(
        self, cdecl: Literal["struct ttf_discarded *"], init: Mapping[str, object] = ..., /
    ) -> ttf_discarded: ...
    @overload
    def new(self, cdecl: Literal["struct ttf_noise *"], init: Mapping[str, object] = ..., /) -> ttf_noise: ...
    @overload
    def new(
        self, cdecl: Literal["struct turbotap_info *"], init: Mapping[str, object] = ..., /
    ) -> turbotap_info: ...
    @overload
    def new(
        self, cdecl: Literal["struct turbotap_attach *"], init: Mapping[str, object] = ..., /
    ) -> turbotap_attach: ...
    @overload
    def new(
        self, cdecl: Literal["struct turbotap_crossing *"], init: Mapping[str, object] = ..., /
    ) -> turbotap_crossing: ...
    @overload
    def new(
        self, cdecl: Literal["struct turbotap_port_tap *"], init: Mapping[str, object] = ..., /
    ) -> turbotap_port_tap: ...
    @overload
    def new(
        self, cdecl: Literal["struct turbotap_port_device *"], init: Mapping[str, object] = ..., /
    ) -> turbotap_port_device: ...
    @overload
    def new(
        self, cdecl: Literal["struct turbotap_member *"], init: Mapping[str, object] = ..., /
    ) -> turbotap_member: ...
    @overload
    def new(self, cdecl: Literal["int[]"], init: Sequence[int], /) -> Array[int]: ...
    @overload
    def new(self, cdecl: Literal["uint8_t[]"], init: bytes | int, /) -> CData: ...
    @overload
    def new(self, cdecl: Literal["uint32_t[]"], init: Sequence[int], /) -> Array[int]: ...
    @overload
    def new(self, cdecl: Literal["void *[]"], init: Sequence[CData], /) -> Array[CData]: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_header *"], source: CData, /) -> ttf_header: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_counters *"], source: CData, /) -> ttf_counters: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_worker_stats *"], source: CData, /) -> ttf_worker_stats: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_worker_status *"], source: CData, /) -> ttf_worker_status: ...
    @overload
    def cast(
        self, cdecl: Literal["struct ttf_device_counters *"], source: CData, /
    ) -> ttf_device_counters: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_port_stats *"], source: CData, /) -> ttf_port_stats: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_ring_out_stats *"], source: CData, /) -> ttf_ring_out_stats: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_ring_in_stats *"], source: CData, /) -> ttf_ring_in_stats: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_instance_stats *"], source: CData, /) -> ttf_instance_stats: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_fdb_entry *"], source: CData, /) -> ttf_fdb_entry: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_fdb *"], source: CData, /) -> ttf_fdb: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_frame_name *"], source: CData, /) -> ttf_frame_name: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_captured *"], source: CData, /) -> ttf_captured: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_capture *"], source: CData, /) -> ttf_capture: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_ring_indices *"], source: CData, /) -> ttf_ring_indices: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_area *"], source: CData, /) -> ttf_area: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_port_config *"], source: CData, /) -> ttf_port_config: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_pktgen_config *"], source: CData, /) -> ttf_pktgen_config: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_worker_config *"], source: CData, /) -> ttf_worker_config: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_capture_reader *"], source: CData, /) -> ttf_capture_reader: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_damage *"], source: CData, /) -> ttf_damage: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_discarded *"], source: CData, /) -> ttf_discarded: ...
    @overload
    def cast(self, cdecl: Literal["struct ttf_noise *"], source: CData, /) -> ttf_noise: ...
    @overload
    def cast(self, cdecl: Literal["struct turbotap_info *"], source: CData, /) -> turbotap_info: ...
    @overload
    def cast(self, cdecl: Literal["struct turbotap_attach *"], source: CData, /) -> turbotap_attach: ...
    @overload
    def cast(self, cdecl: Literal["struct turbotap_crossing *"], source: CData, /) -> turbotap_crossing: ...
    @overload
    def cast(self, cdecl: Literal["struct turbotap_port_tap *"], source: CData, /) -> turbotap_port_tap: ...
    @overload
    def cast(
        self, cdecl: Literal["struct turbotap_port_device *"], source: CData, /
    ) -> turbotap_port_device: ...
    @overload
    def cast(self, cdecl: Literal["struct turbotap_member *"], source: CData, /) -> turbotap_member: ...
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
