# SPDX-License-Identifier: Apache-2.0
"""What the extension forwarder._tester is made of: native/tester/, the tester's datapath.

It needs clang, for programs that run in the kernel (BPF), and libbpf, which loads them. Where these are
missing, the forwarder is built without it, and `ttfwd bench` says what to install.

Environment: TTFWD_TESTER=require makes it an error that something is missing; TTFWD_TESTER=omit leaves the
extension out. TTFWD_SANITIZE and TTFWD_WERROR act as they do on the forwarder's.
"""

import os
import subprocess
import sys
import sysconfig

from cffi import FFI

from native import build_bpf
from native.build_ffi import NATIVE, build_flags, declarations, sanitizer_flags
from native.declarations import Declarations

TESTER = NATIVE / "tester"

# A header comes after those that it includes.
HEADERS = (
    "tester/stamp.h",
    "tester/frame.h",
    "tester/histogram.h",
    "tester/generator.h",
    "tester/receiver.h",
    "tester/programs.h",
    "tester/runner.h",
    "tester/window.h",
    "tester/payload.h",
    "tester/replay.h",
    "tester/packet_generator.h",
    "tester/stamp_clock.h",
    "tester/nic_stamps.h",
    "tester/packet_receiver.h",
)
STRUCTS = (
    "ttf_filter",
    "ttf_generator",
    "ttf_generator_config",
    "ttf_mark",
    "ttf_packet_receiver",
    "ttf_packet_source",
    "ttf_received",
    "ttf_receiver",
    "ttf_receiver_config",
    "ttf_run_config",
)
FUNCTIONS = (
    "ttf_attach_tc",
    "ttf_attach_xdp",
    "ttf_filter_attach",
    "ttf_filter_detach",
    "ttf_load_generator",
    "ttf_load_receiver",
    "ttf_map_memory",
    "ttf_packet_receive",
    "ttf_packet_receiver_close",
    "ttf_packet_receiver_open",
    "ttf_packet_receiver_reset",
    "ttf_packet_run_free",
    "ttf_packet_run_new",
    "ttf_packet_runner_new",
    "ttf_packet_sender_open",
    "ttf_program_fd",
    "ttf_programs_free",
    "ttf_replay_free",
    "ttf_replay_new",
    "ttf_runner_begin",
    "ttf_runner_cpu_ns",
    "ttf_runner_error",
    "ttf_runner_free",
    "ttf_runner_new",
    "ttf_runner_pid",
    "ttf_runner_preemptions",
    "ttf_runner_stop",
    "ttf_set_device",
    "ttf_window_take",
)


def _has_libbpf() -> bool:
    """Are libbpf's headers there? Its first version that can run live frames in batches is 0.8."""
    code = "#include <bpf/bpf.h>\n#include <bpf/libbpf.h>\n#if LIBBPF_MAJOR_VERSION < 1\n#error old\n#endif\n"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    command = [*compiler, "-E", "-"]
    return subprocess.run(command, input=code, capture_output=True, text=True).returncode == 0


def modules() -> list[str]:
    """The extension, as setuptools' cffi_modules names it, or nothing and a notice why."""
    wish = os.environ.get("TTFWD_TESTER", "")
    if wish not in ("", "require", "omit"):
        raise SystemExit(f'TTFWD_TESTER is "{wish}": neither "require" nor "omit"')
    if wish == "omit":
        return []
    missing = [
        name
        for name, there in (("clang", build_bpf.clang() is not None), ("libbpf-dev (>= 1.0)", _has_libbpf()))
        if not there
    ]
    if not missing:
        return ["native/build_tester.py:ffibuilder"]
    notice = f"without {' and '.join(missing)}: ttfwd is built without its tester (ttfwd bench)"
    if wish == "require":
        raise SystemExit(f"TTFWD_TESTER=require, and {notice}")
    print(f"notice: {notice}", file=sys.stderr)
    return []


def product() -> Declarations:
    return declarations(HEADERS).only(STRUCTS + FUNCTIONS)


def ffibuilder() -> FFI:
    builder = FFI()
    builder.cdef(product().cdef())
    builder.set_source(
        "forwarder._tester",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=["native/ethernet.c", *sorted(f"native/tester/{path.name}" for path in TESTER.glob("*.c"))],
        include_dirs=["native"],
        extra_compile_args=build_flags(),
        libraries=["bpf"],
        extra_link_args=sanitizer_flags(),
    )
    return builder
