# SPDX-License-Identifier: Apache-2.0
"""The ports of a running instance: connect, delete, who is whose peer, and what each worker is told.

A port is whole or it isn't there: when a worker refuses one, everything that was made for it is taken back.
What happens to a port never touches the queues of another.
"""

import ipaddress
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forwarder import offloads
from forwarder.config.load import port_from_params
from forwarder.config.model import Config, PortConfig, TxOnlyConfig
from forwarder.devices.devices import Devices
from forwarder.devices.port import Port
from forwarder.errors import BadRequest, ConfigError, DeviceError, TtfwdError, UnknownPort
from forwarder.native import lib
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.worker_pool import Workers

log = logging.getLogger("ttfwd")

NO_PEER = -1


@dataclass
class Slot:
    """A port in its slot."""

    port: Port
    generation: int
    peer: int


class Ports:
    """All ports of the instance, by slot."""

    def __init__(self, config: Config, segments: SharedState, devices: Devices) -> None:
        self._config = config
        self._segments = segments
        self._devices = devices
        self.slots: dict[int, Slot] = {}
        self._next_slot = 0

    # ------------------------------------------------------------------------------------ lookup

    def slot_of(self, name: str) -> int | None:
        return next((slot for slot, held in self.slots.items() if held.port.name == name), None)

    def all(self) -> list[Port]:
        return [held.port for held in self.slots.values()]

    def _free_slot(self) -> int:
        """The slots in turn: a slot rests for as long as it can before it is another port."""
        for step in range(lib.TTF_MAX_PORTS):
            slot = (self._next_slot + step) % int(lib.TTF_MAX_PORTS)
            if slot not in self.slots:
                self._next_slot = slot + 1
                return slot
        raise DeviceError(f"an instance has at most {lib.TTF_MAX_PORTS} ports")

    # ----------------------------------------------------------------------------- the workers

    def _attach_body(self, slot: int) -> dict[str, Any]:
        held = self.slots[slot]
        port = held.port
        txonly = self._config.txonly if self._config.mode == "txonly" else None
        return {
            "port_id": slot,
            "generation": held.generation,
            "queues": port.queues,
            "mtu": port.mtu,
            "peer": held.peer,
            "driver": port.driver.number,
            "header_bytes": port.header_bytes,
            "offloads": port.offloads,
            "generate": _generate(txonly, port) if txonly is not None else None,
        }

    def _fds(self, slot: int, worker: int) -> list[int]:
        port = self.slots[slot].port
        return list(port.queue_fds(worker)) if worker < port.queues else []

    def attach_all(self, workers: Workers, index: int) -> None:
        """Tell a starting worker of every port."""
        for slot in self.slots:
            workers.request(
                workers.children[index], "attach", self._fds(slot, index), **self._attach_body(slot)
            )

    def _discard(self, slot: int, worker: int) -> None:
        try:
            discarded = self.slots[slot].port.discard(worker)
        except OSError as error:
            log.error("port %s queue %d: %s", self.slots[slot].port.name, worker, error)
        else:
            self._segments.count_discarded(slot, worker, discarded)

    def discard_all(self) -> None:
        """When no worker is left: count and drop what came since for devices that stay up."""
        for slot, held in self.slots.items():
            for worker in range(held.port.queues):
                self._discard(slot, worker)

    def set_attached(self, worker: int, attached: bool) -> None:
        """Steer packets to a worker's queues, or to the others while it is away.

        What the queues of a dead worker hold is counted and dropped by name before they are detached.
        """
        for slot, held in self.slots.items():
            if worker < held.port.queues:
                if not attached:
                    self._discard(slot, worker)
                try:
                    held.port.steer(worker, attached)
                except OSError as error:
                    # Attaching an attached queue is EINVAL; a device that is gone is EBADFD.
                    log.debug("port %s queue %d: %s", held.port.name, worker, error)

    # ------------------------------------------------------------------------- connect and delete

    def open(self, config: PortConfig) -> int:
        """Make a port and give it a slot; no worker knows it yet."""
        slot = self._free_slot()
        queues = self._config.queues_of(config)
        port = self._devices.open(config, queues)
        self.slots[slot] = Slot(port, self._segments.write_port(slot, port, NO_PEER), NO_PEER)
        self.update_counters(slot)
        return slot

    def pair(self, slot: int, peer: int) -> None:
        self.slots[slot].peer = peer
        self._segments.port(slot).peer = peer

    def _present(self, held: Slot) -> PortConfig:
        """A port's configuration as it is now: a peer that was deleted is nobody's any more."""
        config = held.port.config
        peer = self.slots.get(held.peer)
        if peer is not None and peer.port.name == config.peer:
            return config
        return config.model_copy(update={"peer": None})

    def connect(self, workers: Workers, params: Mapping[str, object]) -> dict[str, Any]:
        """`ttfwd connect`: what the host now sees. Raises TtfwdError and leaves nothing behind."""
        existing = [self._present(held) for held in self.slots.values()]
        try:
            config = port_from_params(params, self._config, existing)
        except ConfigError as error:
            raise BadRequest(str(error)) from None
        peer = self.slot_of(config.peer) if config.peer is not None else None
        slot = self.open(config)
        if peer is not None:
            self.pair(slot, peer)
        body = self._attach_body(slot)
        errors = workers.broadcast("attach", lambda worker: self._fds(slot, worker), body)
        if errors:
            self._remove(workers, slot)
            raise TtfwdError(f'port "{config.name}": {"; ".join(errors)}')
        if peer is not None:
            self.pair(peer, slot)
            workers.broadcast("peer", lambda _: (), {"slot": peer, "peer": slot})
        port = self.slots[slot].port
        log.info("port %s connected: %s, %d queues, %s", port.name, port.driver, port.queues, port.note)
        return {
            "port": port.name,
            "slot": slot,
            "driver": port.driver.name,
            "io": port.driver.io_name or None,
            "driver_note": port.note,
            "offloads": list(offloads.names(port.offloads)),
            "netns": port.config.netns,
            "peer": config.peer,
            **self._devices.seen(port),
        }

    def delete(self, workers: Workers, name: str) -> dict[str, Any]:
        """`ttfwd delete`: what the queues hold is forwarded, then the port is removed."""
        slot = self.slot_of(name)
        if slot is None:
            known = ", ".join(sorted(port.name for port in self.all())) or "none"
            raise UnknownPort(f'no port "{name}" (there is: {known})')
        self._segments.port(slot).state = lib.TTF_PORT_DELETING
        self._remove(workers, slot)
        log.info("port %s deleted", name)
        return {"port": name, "slot": slot}

    def _remove(self, workers: Workers, slot: int) -> None:
        port = self.slots[slot].port
        self._devices.link_down(port)
        workers.broadcast("detach", lambda _: (), {"slot": slot})
        # What a worker that is away, or out of frames, could not forward is named before it goes.
        for worker in range(port.queues):
            self._discard(slot, worker)
        del self.slots[slot]
        for other, held in self.slots.items():
            if held.peer == slot:
                self.pair(other, NO_PEER)
        self._segments.clear_port(slot)
        self._devices.close(port)

    # ------------------------------------------------------------------------------ the kernel

    def update_counters(self, slot: int) -> None:
        counters = self._devices.counters(self.slots[slot].port)
        if counters is not None:
            self._segments.write_device(slot, counters, time.monotonic_ns())

    def update_all_counters(self) -> None:
        for slot in self.slots:
            self.update_counters(slot)

    def all_links_down(self) -> None:
        for held in self.slots.values():
            self._devices.link_down(held.port)

    def close(self) -> None:
        while self.slots:
            _, held = self.slots.popitem()
            self._devices.close(held.port)


def _generate(txonly: TxOnlyConfig, port: Port) -> dict[str, Any]:
    """struct ttf_pktgen_config for each queue of a port: the rate is shared out evenly."""
    return {
        "size": txonly.size,
        "flows": txonly.flows,
        "rate": -(-txonly.rate // port.queues),
        "src_mac": list(bytes.fromhex((txonly.src_mac or port.mac).replace(":", ""))),
        "dst_mac": list(bytes.fromhex(txonly.dst_mac.replace(":", ""))),
        "src_ip": list(ipaddress.IPv4Address(txonly.src_ip).packed),
        "dst_ip": list(ipaddress.IPv4Address(txonly.dst_ip).packed),
    }
