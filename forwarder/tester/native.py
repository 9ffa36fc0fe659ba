# SPDX-License-Identifier: Apache-2.0
"""The one door to the tester's datapath: `ffi` and `lib` of the extension forwarder._tester.

The extension is missing where ttfwd was built without clang or libbpf. Then load() raises an error that says
what to do: functions call it, modules don't. The types are for the type checker: import them
`if TYPE_CHECKING`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from forwarder.errors import TtfwdError

if TYPE_CHECKING:
    from forwarder._tester import (
        FFI,
        Array,
        CData,
        Lib,
        ttf_generator,
        ttf_histogram,
        ttf_mark,
        ttf_packet_receiver,
        ttf_packet_run,
        ttf_programs,
        ttf_received,
        ttf_receiver,
        ttf_replay,
        ttf_runner,
    )

    __all__ = [
        "Array",
        "CData",
        "load",
        "ttf_generator",
        "ttf_histogram",
        "ttf_mark",
        "ttf_packet_receiver",
        "ttf_packet_run",
        "ttf_programs",
        "ttf_received",
        "ttf_receiver",
        "ttf_replay",
        "ttf_runner",
    ]


@dataclass(frozen=True)
class Native:
    ffi: FFI
    lib: Lib


@cache
def load() -> Native:
    """The extension. Raises TtfwdError."""
    try:
        module = importlib.import_module("forwarder._tester")
    except ImportError as error:
        if error.name != "forwarder._tester":  # libbpf.so isn't there
            raise TtfwdError(f"the tester can't be loaded: {error}: apt-get install libbpf1") from None
        raise TtfwdError(
            "this ttfwd was built without its tester: run `make tester` in the source tree, or "
            "apt-get install clang libbpf-dev and install ttfwd again"
        ) from None
    return Native(module.ffi, module.lib)
