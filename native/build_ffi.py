# SPDX-License-Identifier: Apache-2.0
"""What the extension forwarder._native is made of: every C file of native/, and what Python sees of them.

cffi writes a C file that wraps what is declared, and setup.py has it compiled together with native/*.c. The
declarations are read from the C headers, turbotap.ko's among them, so that there is one copy of every struct,
prototype and constant, and the C compiler checks that one. When they change, `python -m native.stub` writes
the type stub again.

Environment: TTFWD_SANITIZE (for example "address,undefined") builds with these sanitizers;
TTFWD_WERROR=1 makes warnings errors.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from cffi import FFI

from native.declarations import Declarations, read

NATIVE = Path(__file__).resolve().parent

# A header comes after those that it includes.
HEADERS = (
    "abi.h",
    "names.h",
    "ring.h",
    "layout.h",
    "fdb.h",
    "forward.h",
    "port_config.h",
    "pktgen.h",
    "worker.h",
    "capture_read.h",
    "guard.h",
    "recover.h",
    "run_state.h",
    "sandbox.h",
    "map.h",
    "uring.h",
    "discard.h",
    "noise.h",
    "packet_ring.h",
    "../kmod/uapi/turbotap.h",
    "../kmod/uapi/turbotap_crossing.h",
)

# The structs that forwarder/ makes, and the functions that it calls. The structs that these need come with
# them, and so does every constant. Tests that use more have an extension of their own.
STRUCTS = (
    "ttf_capture",
    "ttf_capture_reader",
    "ttf_captured",
    "ttf_damage",
    "ttf_discarded",
    "ttf_header",
    "ttf_noise",
    "ttf_pktgen_config",
    "ttf_port_config",
    "ttf_ring_indices",
    "ttf_worker_config",
    "turbotap_attach",
    "turbotap_crossing",
    "turbotap_info",
    "turbotap_member",
    "turbotap_port_device",
    "turbotap_port_tap",
)
FUNCTIONS = (
    "ttf_capture_read",
    "ttf_capture_reader_start",
    "ttf_capture_seen",
    "ttf_drop_meaning",
    "ttf_drop_name",
    "ttf_event_name",
    "ttf_fdb_area",
    "ttf_fdb_flush",
    "ttf_frames_bytes",
    "ttf_guard_check",
    "ttf_guard_free",
    "ttf_guard_new",
    "ttf_header_check",
    "ttf_map",
    "ttf_map_writable",
    "ttf_noise_listen",
    "ttf_queue_discard",
    "ttf_recover_crossing",
    "ttf_recover_discarded",
    "ttf_recover_ring",
    "ttf_recover_waiting",
    "ttf_recover_worker",
    "ttf_retire_port",
    "ttf_rings_area",
    "ttf_rings_bytes",
    "ttf_rings_contradiction",
    "ttf_rings_fdb",
    "ttf_rings_init",
    "ttf_rings_waiting",
    "ttf_run_state_attention",
    "ttf_run_state_capture",
    "ttf_run_state_live",
    "ttf_run_state_reset",
    "ttf_run_state_seen",
    "ttf_run_state_set",
    "ttf_sandbox_confine",
    "ttf_sandbox_enter",
    "ttf_sandbox_part_name",
    "ttf_stats_area",
    "ttf_stats_bytes",
    "ttf_stats_instance",
    "ttf_stats_port",
    "ttf_stats_prepare",
    "ttf_stats_publish",
    "ttf_stats_queue",
    "ttf_stats_ring_in",
    "ttf_stats_ring_out",
    "ttf_stats_status",
    "ttf_stats_worker",
    "ttf_unmap",
    "ttf_uring_probe",
    "ttf_urings_new",
    "ttf_worker_attach",
    "ttf_worker_attention",
    "ttf_worker_detach",
    "ttf_worker_free",
    "ttf_worker_join",
    "ttf_worker_new",
    "ttf_worker_pktgen",
    "ttf_worker_queue_error",
    "ttf_worker_run",
    "ttf_worker_set_peer",
    "ttf_worker_state_name",
    "ttf_worker_update_port",
)


def sanitizer_flags() -> list[str]:
    wanted = os.environ.get("TTFWD_SANITIZE")
    return [f"-fsanitize={wanted}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"] if wanted else []


def build_flags() -> list[str]:
    # cffi's generated wrappers are not ours to keep free of -Wextra's findings.
    warnings = ["-Wall", "-Wshadow"] + (["-Werror"] if os.environ.get("TTFWD_WERROR") == "1" else [])
    return ["-std=gnu11", "-O2", "-g", "-D_GNU_SOURCE", *warnings, *sanitizer_flags()]


def declarations(headers: Iterable[str]) -> Declarations:
    return read(NATIVE / name for name in headers)


def sources() -> list[str]:
    """The datapath's."""
    return sorted(f"native/{path.name}" for path in NATIVE.glob("*.c"))


def extension(module: str, headers: Iterable[str], declared: Declarations, made_of: list[str]) -> FFI:
    """Sources as an extension that shows Python what is `declared`. Built in the tree's root."""
    builder = FFI()
    builder.cdef(declared.cdef())
    builder.set_source(
        module,
        "\n".join(f'#include "{name}"' for name in headers),
        sources=made_of,
        include_dirs=["native"],
        extra_compile_args=build_flags(),
        libraries=["seccomp", "uring"],
        extra_link_args=sanitizer_flags(),
    )
    return builder


def product() -> Declarations:
    return declarations(HEADERS).only(STRUCTS + FUNCTIONS)


def ffibuilder() -> FFI:
    return extension("forwarder._native", HEADERS, product(), sources())
