# SPDX-License-Identifier: Apache-2.0
"""What the kernel's message about a link says of its kind. The messages are pyroute2's ifinfmsg."""

from typing import Any


def kind(link: Any) -> str | None:
    """ "tun", "veth" ...; None for hardware."""
    info = link.get_attr("IFLA_LINKINFO")
    return info.get_attr("IFLA_INFO_KIND") if info is not None else None


def driver_data(link: Any) -> Any | None:
    """What only its kind has: of a tap, IFLA_TUN_..."""
    info = link.get_attr("IFLA_LINKINFO")
    return info.get_attr("IFLA_INFO_DATA") if info is not None else None
