# SPDX-License-Identifier: Apache-2.0
"""The one door to the C datapath: `ffi` and `lib` of the extension module, and its errors as exceptions.

Everything that calls C imports from here. Structs and functions are those of native/*.h. The types of structs
are for the type checker: import them `if TYPE_CHECKING`.
"""

import os
from typing import TYPE_CHECKING

from forwarder._native import ffi, lib

if TYPE_CHECKING:
    from forwarder._native import (
        CData,
        ttf_capture_reader,
        ttf_counters,
        ttf_instance_stats,
        ttf_port_stats,
        ttf_urings,
        ttf_worker_status,
    )

__all__ = [
    "CData",
    "check",
    "ffi",
    "lib",
    "string",
    "ttf_capture_reader",
    "ttf_counters",
    "ttf_instance_stats",
    "ttf_port_stats",
    "ttf_urings",
    "ttf_worker_status",
]


def check(result: int) -> int:
    """Return a C function's count, or raise OSError for its -errno."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def string(field: "CData") -> str:
    """A char array of a shared struct as text; it need not be terminated."""
    return bytes(ffi.buffer(field)).split(b"\0", 1)[0].decode("utf-8", "replace")
