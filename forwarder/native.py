# SPDX-License-Identifier: Apache-2.0
"""The one door to the C datapath: `ffi` and `lib` of the extension module, and its errors as exceptions.

Everything that calls C imports from here. Structs and functions are those of native/*.h.
"""

import os
from typing import Any

from forwarder._native import ffi, lib

__all__ = ["check", "ffi", "lib", "string"]


def check(result: int) -> int:
    """Return a C function's count, or raise OSError for its -errno."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def string(field: Any) -> str:
    """A char array of a shared struct as text; it need not be terminated."""
    return bytes(ffi.buffer(field)).split(b"\0", 1)[0].decode("utf-8", "replace")
