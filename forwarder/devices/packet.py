# SPDX-License-Identifier: Apache-2.0
"""Driver packet: AF_PACKET sockets on a device that exists and stays its owner's.

Addresses and MTU are left alone. A link that is down is set up, and down again when the port closes. The
journal has its name meanwhile, so that the next start can set it down after a crash.
"""

import os

from forwarder import drivers
from forwarder.config.model import PortConfig
from forwarder.devices import packet_sockets
from forwarder.devices.netns import is_up
from forwarder.devices.port import Discarded, Offer, Port
from forwarder.native import lib


class PacketPort(Port):
    """An existing device, with two sockets for each queue."""

    _fds: tuple[int, ...] = ()
    _sender_fds: tuple[int, ...] = ()  # of packet rings: for frames without offload
    _raised_link = False

    @classmethod
    def offer(cls, config: PortConfig) -> Offer | str:
        return Offer(drivers.PACKET)

    def open(self) -> None:
        config = self.config
        # Packet sockets show local senders' offload requests whether or not the port has offload.
        self.header_bytes = lib.TTF_VNET_HDR_BYTES
        link = self._link()
        if not is_up(link):
            self._raise_link(link["index"])
        fds, sender_fds = packet_sockets.open_queues(config.name, config.netns, self.queues)
        self._fds, self._sender_fds = tuple(fds), tuple(sender_fds)
        if config.offload:
            self.offloads = packet_sockets.device_offloads(config.name, config.netns, link)
        self._read_back()

    def queue_fds(self, queue: int) -> tuple[int, ...]:
        return self._fds[queue], self._sender_fds[queue]

    def steer(self, queue: int, attached: bool) -> None:
        """Nothing: a socket stays in its fanout group, and its packet ring holds what comes meanwhile."""

    def discard(self, queue: int) -> Discarded:
        return packet_sockets.discard(self._fds[queue])

    def close(self) -> None:
        for fd in (*self._fds, *self._sender_fds):
            os.close(fd)
        self._fds = self._sender_fds = ()
        if self._raised_link:
            self._lower_link()

    def _raise_link(self, ifindex: int) -> None:
        self._host.journal.links_up.append((self.config.netns, self.name))
        self._host.journal.save()
        self._raised_link = True
        self._netlink.link("set", index=ifindex, state="up")

    def _lower_link(self) -> None:
        self._raised_link = False
        self._host.journal.links_up.remove((self.config.netns, self.name))
        self._host.journal.save()
        self._host.netlink.set_down(self.place, self.name)
