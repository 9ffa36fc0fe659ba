# SPDX-License-Identifier: Apache-2.0
"""What we change on a device of somebody else's, and how it is set back.

The journal has the change before it is made. Only what still is as we set it is set back: what somebody else
has changed since is theirs.
"""

import ipaddress
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from forwarder.devices.device import link_state
from forwarder.devices.journal import ChangedDevice
from forwarder.devices.place import Place

Interface = IPv4Interface | IPv6Interface

_IFA_F_PERMANENT = 0x80
_WORDS = {"address": "MAC", "mtu": "MTU", "state": "link"}


def planned(
    link: Any,
    place: Place,
    *,
    mtu: int | None = None,
    mac: str | None = None,
    addresses: tuple[str, ...] = (),
) -> ChangedDevice | None:
    """The entry for a device that is to be set up, with these properties if they are given.

    `link` is the kernel's message about it, `addresses` those that it doesn't have yet. None if nothing will
    be another than it is.
    """
    had_mtu, had_mac = link.get_attr("IFLA_MTU"), link.get_attr("IFLA_ADDRESS") or ""
    entry = ChangedDevice(
        name=link.get_attr("IFLA_IFNAME"),
        netns=place.name,
        identity=place.identity,
        ifindex=link["index"],
        mtu=(had_mtu, mtu or had_mtu),
        mac=(had_mac, (mac or had_mac).lower()),
        raised=link_state(link) == "down",
        addresses=addresses,
    )
    changes = entry.raised or entry.mtu[0] != entry.mtu[1] or entry.mac[0] != entry.mac[1] or addresses
    return entry if changes else None


def remaining(netlink: Any, link: Any, entry: ChangedDevice) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Which changes are still there: the settings that undo them, and the addresses to remove.

    `netlink` is a socket in the device's namespace, `link` the kernel's message about the device. Raises
    NetlinkError.
    """
    settings: dict[str, Any] = {}
    if entry.mac[0] != entry.mac[1] == link.get_attr("IFLA_ADDRESS"):
        settings["address"] = entry.mac[0]
    if entry.mtu[0] != entry.mtu[1] == link.get_attr("IFLA_MTU"):
        settings["mtu"] = entry.mtu[0]
    if entry.raised and link_state(link) != "down":
        settings["state"] = "down"
    has = addresses_of(netlink, link["index"])
    return settings, tuple(address for address in entry.addresses if ipaddress.ip_interface(address) in has)


def addresses_of(netlink: Any, index: int) -> set[Interface]:
    """The addresses that a device was given; it may have learnt others. Raises NetlinkError."""
    return {
        ipaddress.ip_interface(
            f"{found.get_attr('IFA_LOCAL') or found.get_attr('IFA_ADDRESS')}/{found['prefixlen']}"
        )
        for found in netlink.get_addr(index=index)
        if found["flags"] & _IFA_F_PERMANENT
    }


def set_back(netlink: Any, link: Any, entry: ChangedDevice) -> str:
    """Undo the changes that are still there, and say which. See remaining(). Raises NetlinkError."""
    index = link["index"]
    settings, addresses = remaining(netlink, link, entry)
    for text in addresses:
        address = ipaddress.ip_interface(text)
        netlink.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
    stay = addresses_of(netlink, index)
    # One by one: the link goes down even if the device refuses its former MTU.
    for key in sorted(settings, reverse=True):
        netlink.link("set", index=index, **{key: settings[key]})
    _add_again(netlink, index, stay - addresses_of(netlink, index))
    said = [f"address {address} removed" for address in addresses]
    said += [f"{_WORDS[key]} {value} again" for key, value in sorted(settings.items())]
    return ", ".join(said) or "nothing of our changes was left"


def _add_again(netlink: Any, index: int, addresses: set[Interface]) -> None:
    """The kernel forgets the IPv6 addresses of a link that goes down. Its own, it makes again."""
    for address in addresses:
        if not address.is_link_local:
            netlink.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
