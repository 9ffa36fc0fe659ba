# SPDX-License-Identifier: Apache-2.0
"""What a device's driver tells, as `ethtool` shows it."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pyroute2.ethtool.ioctl import EthtoolError, IoctlEthtool

# Of linux/ethtool.h, those that pyroute2 doesn't have.
_GDRVINFO, _GPAUSEPARAM, _GET_TS_INFO = 0x03, 0x12, 0x41
_DRVINFO = struct.Struct("=4x32s32s32s32s64x")
_PAUSE = struct.Struct("=4x3I")
_TS_INFO = struct.Struct("=4xIi32x")

# Our names, and pyroute2's.
_RINGS = {name: name for name in ("rx", "rx_max", "tx", "tx_max")}
_CHANNELS = {
    "rx": "rx_count",
    "rx_max": "max_rx",
    "tx": "tx_count",
    "tx_max": "max_tx",
    "combined": "combined_count",
    "combined_max": "max_combined",
}
_COALESCE = {
    "rx_us": "rx_coalesce_usecs",
    "rx_frames": "rx_max_coalesced_frames",
    "rx_adaptive": "use_adaptive_rx_coalesce",
    "tx_us": "tx_coalesce_usecs",
    "tx_frames": "tx_max_coalesced_frames",
    "tx_adaptive": "use_adaptive_tx_coalesce",
}

# The bits of SOF_TIMESTAMPING_ (linux/net_tstamp.h), as `ethtool -T` calls them.
_TIMESTAMPS = (
    "hardware-transmit",
    "software-transmit",
    "hardware-receive",
    "software-receive",
    "software-system-clock",
    "hardware-legacy-clock",
    "hardware-raw-clock",
)


@dataclass(frozen=True)
class Driver:
    """None: the driver doesn't know the request."""

    name: str | None
    version: str | None
    firmware: str | None
    bus: str | None  # where the device is: a PCI address
    features: tuple[str, ...] | None  # those that are on, by the kernel's names
    rings: Mapping[str, int] | None  # slots: rx, rx_max, tx, tx_max
    channels: Mapping[str, int] | None  # queues: combined, combined_max, rx ...
    coalesce: Mapping[str, int] | None  # how long and for how many frames an interrupt waits
    pause: Mapping[str, int] | None  # flow control, 0 or 1: autoneg, rx, tx
    timestamps: tuple[str, ...] | None
    ptp_clock: int | None


class _Ethtool(IoctlEthtool):  # type: ignore[misc]  # published without types
    def answer(self, command: int, layout: struct.Struct) -> tuple[Any, ...]:
        """The kernel's answer to a command without parameters."""
        data = ctypes.create_string_buffer(struct.pack("=I", command), layout.size)
        self.ifreq.gstrings = ctypes.cast(data, ctypes.c_void_p)
        self.ioctl()
        return layout.unpack(data.raw)


def driver(device: str) -> Driver:
    """Of a device in the network namespace that this thread is in. Raises OSError if there is none."""
    with closing(_Ethtool(device)) as ethtool:
        info = _known(lambda: ethtool.answer(_GDRVINFO, _DRVINFO))
        texts = [None] * 4 if info is None else [_text(each) for each in info]
        pause = _known(lambda: ethtool.answer(_GPAUSEPARAM, _PAUSE))
        stamps = _known(lambda: ethtool.answer(_GET_TS_INFO, _TS_INFO))
        features = _known(ethtool.get_features)
        return Driver(
            name=texts[0],
            version=texts[1],
            firmware=texts[2],
            bus=texts[3],
            features=None if features is None else _active(features),
            rings=_numbers(_known(ethtool.get_rings), _RINGS),
            channels=_numbers(_known(ethtool.get_channels), _CHANNELS),
            coalesce=_numbers(_known(ethtool.get_coalesce), _COALESCE),
            pause=None if pause is None else dict(zip(("autoneg", "rx", "tx"), pause, strict=True)),
            timestamps=None
            if stamps is None
            else tuple(name for bit, name in enumerate(_TIMESTAMPS) if stamps[0] >> bit & 1),
            ptp_clock=None if stamps is None or stamps[1] < 0 else stamps[1],
        )


def active_features(device: str) -> tuple[str, ...]:
    """The features that are on, by the kernel's names. As for driver()."""
    with closing(_Ethtool(device)) as ethtool:
        return _active(ethtool.get_features())


def _active(features: Any) -> tuple[str, ...]:
    return tuple(sorted(name for name, active, *_ in features if active))


def _known(request: Callable[[], Any]) -> Any:
    try:
        return request()
    except EthtoolError:  # of the kernel's EOPNOTSUPP
        return None


def _numbers(answer: Any, names: Mapping[str, str]) -> Mapping[str, int] | None:
    return None if answer is None else {ours: int(answer[theirs]) for ours, theirs in names.items()}


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("utf-8", "replace")
