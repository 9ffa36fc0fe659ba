# SPDX-License-Identifier: Apache-2.0
"""Driver packet: AF_PACKET sockets on a device that exists and stays its owner's.

Addresses and MTU are left alone. A link that is down is set up, and down again when the port closes. A device
belongs to one instance at a time: two would both forward every packet.

The sockets are bound to the device, not to its name. When it is deleted, or moved to another namespace, the
port has no device any more.
"""

import os
from typing import Any

from forwarder import drivers
from forwarder.config.model import PortConfig
from forwarder.devices import changes, packet_sockets
from forwarder.devices.crossing import Crossing
from forwarder.devices.device import Device
from forwarder.devices.place import Place
from forwarder.devices.port import Offer, RenewablePort
from forwarder.native import lib


class PacketPort(RenewablePort):
    """An existing device, with two sockets for each queue."""

    emptied_by = drivers.PACKET

    _fds: tuple[int, ...] = ()
    _sender_fds: tuple[int, ...] = ()  # of packet rings: for frames without offload
    _features = 0  # as ethtool last told them: TTF_OFFLOAD_ bits
    _crossing_port = 0
    _claimed = 0  # the ifindex that other instances see as ours

    @classmethod
    def offer(cls, config: PortConfig, crossing: Crossing | str) -> Offer | str:
        return Offer(drivers.PACKET)

    def open(self) -> None:
        config = self.config
        # Packet sockets show local senders' offload requests whether or not the port has offload.
        self.header_bytes = lib.TTF_VNET_HDR_BYTES
        link = self._link()
        ifindex = link["index"]
        self._host.claims.claim_device(self.name, self.place, ifindex)
        self._claimed = ifindex
        self._will_change(changes.planned(link, self.place))
        if self._changed is not None:
            self._netlink.link("set", index=ifindex, state="up")
        fds, sender_fds = packet_sockets.open_queues(config.name, self.place, self.queues)
        self._fds, self._sender_fds = tuple(fds), tuple(sender_fds)
        if self._crossing is not None and not self._crossing.lacks_room(1):
            with self.place.inside():
                self._crossing_port = self._crossing.add_device(self.name, ifindex)
        self._read_back()

    def queue_fds(self, queue: int) -> tuple[int, ...]:
        return self._fds[queue], self._sender_fds[queue]

    def crossing_port(self, queue: int) -> int:
        return self._crossing_port

    def steer(self, queue: int, attached: bool) -> None:
        """Nothing: a socket stays in its fanout group, and its packet ring holds what comes meanwhile."""

    def renew(self, queue: int) -> None:
        packet_sockets.renew_ring(self._fds[queue])

    def discard_fd(self, queue: int) -> int:
        return self._fds[queue]

    def drops(self, queue: int) -> int:
        return packet_sockets.drops(self._fds[queue])

    def close(self) -> None:
        still_there = self._is_still_there()
        if self._crossing_port and self._crossing is not None:
            self._crossing.delete(self._crossing_port)
        self._crossing_port = 0
        for fd in (*self._fds, *self._sender_fds):
            os.close(fd)
        self._fds = self._sender_fds = ()
        self._set_back(still_there)
        self._release_claim()

    def look(self, *, thorough: bool = True) -> Device:
        device = super().look(thorough=thorough)
        if device.is_gone:  # for good: the next device with its index is anybody's
            self._release_claim()
        return device

    def _release_claim(self) -> None:
        if self._claimed:
            self._host.claims.release_device(self.place, self._claimed)
            self._claimed = 0

    def _whereabouts(self) -> tuple[Place, bytes] | None:
        return (self.place, b"") if packet_sockets.bound_device(self._fds[0]) else None

    def _takes(self, place: Place, message: Any, thorough: bool) -> tuple[int, str]:
        if not self.config.offload:
            return 0, ""
        if thorough:
            self._features = packet_sockets.features(message.get_attr("IFLA_IFNAME"), place)
        limit = packet_sockets.limit(message)
        if not limit or self._features == lib.TTF_OFFLOAD_CSUM:
            return self._features, ""
        return lib.TTF_OFFLOAD_CSUM, limit
