# SPDX-License-Identifier: Apache-2.0
"""Compiles a BPF program for a test, loads it and attaches it: a few calls of libbpf, by ctypes.

Devices are those of the namespace that the calling thread is in. What was attached goes with the process.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import subprocess
from pathlib import Path

from native import build_bpf
from tests.support.capabilities import missing


def compile_bpf(source: Path, into: Path) -> Path:
    """The object of a C file, made in the folder `into`."""
    if build_bpf.clang() is None:
        missing("clang")
    made = into / f"{source.stem}.o"
    done = subprocess.run([*build_bpf.command(source), "-o", str(made)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


def _library() -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError:
        missing("libbpf")
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    for name, result, arguments in (
        ("bpf_object__open_file", pointer, (text, pointer)),
        ("bpf_object__load", number, (pointer,)),
        ("bpf_object__close", None, (pointer,)),
        ("bpf_object__find_program_by_name", pointer, (pointer, text)),
        ("bpf_object__find_map_by_name", pointer, (pointer, text)),
        ("bpf_program__fd", number, (pointer,)),
        ("bpf_program__attach_xdp", pointer, (pointer, number)),
        ("bpf_link__destroy", number, (pointer,)),
        ("bpf_map__fd", number, (pointer,)),
        ("bpf_map_update_elem", number, (number, pointer, pointer, ctypes.c_uint64)),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Loaded:
    """A loaded object. `close` detaches what it attached."""

    def __init__(self, made: Path) -> None:
        self._lib = _library()
        self._links: list[int] = []
        self._object = self._some(self._lib.bpf_object__open_file(str(made).encode(), None), made)
        try:
            self._zero(self._lib.bpf_object__load(self._object), made)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        for link in self._links:
            self._lib.bpf_link__destroy(link)
        self._links.clear()
        self._lib.bpf_object__close(self._object)

    def attach_xdp(self, program: str, ifindex: int) -> None:
        self._links.append(
            self._some(self._lib.bpf_program__attach_xdp(self._program(program), ifindex), program)
        )

    def redirect_to(self, devices: str, key: int, ifindex: int, program: str) -> None:
        """Let an entry of a device map stand for a device, with the program that sees frames on their way."""
        entry = ctypes.create_string_buffer(
            struct.pack("Ii", ifindex, self._lib.bpf_program__fd(self._program(program)))
        )
        index = ctypes.c_uint32(key)
        fd = self._lib.bpf_map__fd(self._map(devices))
        self._zero(self._lib.bpf_map_update_elem(fd, ctypes.byref(index), entry, 0), devices)

    def variables(self, size: int) -> mmap.mmap:
        """The first bytes of the object's .bss, shared with the programs."""
        return mmap.mmap(self._lib.bpf_map__fd(self._map(".bss")), size)

    def _program(self, name: str) -> int:
        return self._some(self._lib.bpf_object__find_program_by_name(self._object, name.encode()), name)

    def _map(self, name: str) -> int:
        return self._some(self._lib.bpf_object__find_map_by_name(self._object, name.encode()), name)

    @staticmethod
    def _some(pointer: int | None, what: object) -> int:
        if not pointer:
            error = ctypes.get_errno()
            raise OSError(error, f"{what}: {os.strerror(error)}")
        return pointer

    @staticmethod
    def _zero(result: int, what: object) -> None:
        if result < 0:
            raise OSError(-result, f"{what}: {os.strerror(-result)}")
