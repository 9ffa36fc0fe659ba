# SPDX-License-Identifier: Apache-2.0
"""A port's device as the kernel has it at one moment, and the difference between two moments in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from forwarder import offloads
from forwarder.devices.place import Place

Link = Literal["up", "no_carrier", "down", "gone"]

_IFF_UP = 1
_IFF_LOWER_UP = 0x10000
_LINK_WORDS: Mapping[Link, str] = {
    "up": "up",
    "no_carrier": "no carrier",
    "down": "down",
    "gone": "gone (its device was deleted, or moved to another namespace)",
}


@dataclass(frozen=True)
class Device:
    """Of a device that is gone, everything but `link` is as it was last seen."""

    place: Place
    name: str  # printable
    ifindex: int
    link: Link
    mac: str
    mtu: int
    offloads: int  # what it takes over from a sender: TTF_OFFLOAD_ bits
    limit: str = ""  # why it takes no GSO frames although it could segment some
    counters: Mapping[str, int] = field(default_factory=dict, compare=False)  # IFLA_STATS64

    @property
    def is_gone(self) -> bool:
        return self.link == "gone"

    @property
    def offloads_shown(self) -> str:
        """For people: "csum tso4 ...", and what limits them."""
        shown = offloads.shown(self.offloads)
        return f"{shown} ({self.limit})" if self.limit else shown


def link_state(message: Any) -> Link:
    """The state of a link, by the kernel's message about it."""
    flags = message["flags"]
    if not flags & _IFF_UP:
        return "down"
    return "up" if flags & _IFF_LOWER_UP else "no_carrier"


def printable(name: str | bytes) -> str:
    """A device's name with "?" for what doesn't belong on a terminal. Who renames it isn't always trusted."""
    text = name if isinstance(name, str) else name.decode("utf-8", "replace").replace("\ufffd", "?")
    return "".join(character if character.isprintable() else "?" for character in text)


def changes(then: Device, now: Device) -> Iterator[str]:
    """What differs, as "what old -> new"."""
    for what, old, new in (
        ("namespace", then.place.shown, now.place.shown),
        ("name", then.name, now.name),
        ("ifindex", then.ifindex, now.ifindex),
        ("link", _LINK_WORDS[then.link], _LINK_WORDS[now.link]),
        ("MAC", then.mac, now.mac),
        ("MTU", then.mtu, now.mtu),
        ("offload", then.offloads_shown, now.offloads_shown),
    ):
        if old != new:
            yield f"{what} {old} -> {new}"
