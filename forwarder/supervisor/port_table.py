# SPDX-License-Identifier: Apache-2.0
"""Which ports the instance has, by port id, and the messages that tell workers of them.

The desired state and nothing else: it opens nothing, sends nothing, and writes no statistics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from forwarder.config.model import Config, PortConfig, TxOnlyConfig
from forwarder.devices.port import Port
from forwarder.errors import DeviceError, UnknownPort, listed
from forwarder.native import lib
from forwarder.worker.messages import Attach, Delivery, Detach, Pktgen, SetPeer, UpdatePort

MAX_PORTS: int = lib.TTF_MAX_PORTS


@dataclass
class TablePort:
    """One port of the table."""

    port_id: int
    port: Port
    generation: int
    peer: int | None = None  # mode xconnect: the port id of the other end


class PortTable:
    def __init__(self, config: Config) -> None:
        self._txonly = config.txonly if config.mode == "txonly" else None
        self._ports: dict[int, TablePort] = {}
        self._next_id = 0

    # ------------------------------------------------------------------------------------ lookup

    def __len__(self) -> int:
        return len(self._ports)

    def __iter__(self) -> Iterator[TablePort]:
        return iter(tuple(self._ports.values()))

    def get(self, port_id: int) -> TablePort | None:
        return self._ports.get(port_id)

    def named(self, name: str) -> TablePort:
        """Raises UnknownPort."""
        for entry in self._ports.values():
            if entry.port.name == name:
                return entry
        known = listed(sorted(entry.port.name for entry in self._ports.values()))
        raise UnknownPort(f'no port "{name}" (ports: {known})')

    def configs(self) -> list[PortConfig]:
        """The ports' configurations as they are now: without a peer if the peer was deleted."""
        return [self._config_now(entry) for entry in self._ports.values()]

    def _config_now(self, entry: TablePort) -> PortConfig:
        config = entry.port.config
        peer = self._ports.get(entry.peer) if entry.peer is not None else None
        if peer is not None and peer.port.name == config.peer:
            return config
        return config.model_copy(update={"peer": None})

    # ------------------------------------------------------------------------------------ change

    def free_id(self) -> int:
        """A port id for a new port. Raises DeviceError if there are as many ports as there can be.

        Ids are given out in turn, so that the id of a deleted port is reused as late as possible.
        """
        for step in range(MAX_PORTS):
            port_id = (self._next_id + step) % MAX_PORTS
            if port_id not in self._ports:
                return port_id
        raise DeviceError(f"an instance has at most {MAX_PORTS} ports")

    def add(self, port_id: int, port: Port, generation: int) -> TablePort:
        entry = self._ports[port_id] = TablePort(port_id, port, generation)
        self._next_id = port_id + 1
        return entry

    def remove(self, port_id: int) -> list[TablePort]:
        """Returns the ports that lost their peer with it."""
        del self._ports[port_id]
        widowed = [entry for entry in self._ports.values() if entry.peer == port_id]
        for entry in widowed:
            entry.peer = None
        return widowed

    # ---------------------------------------------------------------------------------- messages

    def attach(self, port_id: int, worker: int) -> Delivery[Attach]:
        """Tells a worker of a port, with the fds of the worker's queue if the port has one for it."""
        entry = self._ports[port_id]
        port = entry.port
        message = Attach(
            port_id=port_id,
            generation=entry.generation,
            queues=port.queues,
            mtu=port.device.mtu,
            peer=entry.peer,
            driver=port.driver.number,
            header_bytes=port.header_bytes,
            offloads=port.device.offloads,
            crossing_port=port.crossing_port(worker),
            pktgen=_pktgen(self._txonly, port, worker),
        )
        return Delivery(message, port.queue_fds(worker) if worker < port.queues else ())

    def attach_all(self, worker: int) -> list[Delivery[Attach]]:
        return [self.attach(port_id, worker) for port_id in self._ports]

    def update(self, port_id: int, worker: int) -> Delivery[UpdatePort]:
        """Tells a worker what the port's device is like now."""
        port = self._ports[port_id].port
        device = port.device
        pktgen = _pktgen(self._txonly, port, worker)
        return Delivery(UpdatePort(port_id, device.mtu, device.offloads, pktgen))

    def set_peer(self, port_id: int) -> Delivery[SetPeer]:
        return Delivery(SetPeer(port_id, self._ports[port_id].peer))

    def detach(self, port_id: int) -> Delivery[Detach]:
        return Delivery(Detach(port_id))


def _pktgen(txonly: TxOnlyConfig | None, port: Port, queue: int) -> Pktgen | None:
    """Mode txonly: the generator's settings for a queue; None if its share of the port's rate is nothing."""
    if txonly is None:
        return None
    share, more = divmod(txonly.rate, port.queues)
    rate = share + (queue < more)
    if txonly.rate and not rate:
        return None  # to the generator, 0 is as fast as possible
    return Pktgen(
        size=txonly.size,
        flows=txonly.flows,
        rate=rate,
        src_mac=_mac(txonly.src_mac or port.device.mac),
        dst_mac=_mac(txonly.dst_mac),
        src_ip=IPv4Address(txonly.src_ip).packed,
        dst_ip=IPv4Address(txonly.dst_ip).packed,
    )


def _mac(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))
