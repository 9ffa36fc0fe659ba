# SPDX-License-Identifier: Apache-2.0
"""Carries out `connect` and `delete`: a port comes or goes while the workers forward."""

import logging
from collections.abc import Mapping
from typing import Any

from forwarder import offloads
from forwarder.config.load import port_from_params
from forwarder.config.model import Config
from forwarder.errors import BadRequest, TtfwdError
from forwarder.logs import about
from forwarder.supervisor.live_ports import LivePorts
from forwarder.supervisor.port_service import PortService
from forwarder.supervisor.port_table import PortTable, TablePort
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.worker_pool import WorkerPool

log = logging.getLogger("ttfwd")


class PortRequests:
    """Its methods answer the control socket's requests. They raise TtfwdError when one is refused."""

    def __init__(
        self,
        config: Config,
        table: PortTable,
        ports: LivePorts,
        pool: WorkerPool,
        state: SharedState,
        service: PortService,
    ) -> None:
        self._config = config
        self._table = table
        self._ports = ports
        self._pool = pool
        self._state = state
        self._service = service

    def connect(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make a port. If a worker refuses it, it is removed again."""
        config = port_from_params(params, self._config, self._table.configs())
        peer = self._table.named(config.peer) if config.peer is not None else None
        entry = self._ports.open(config, self._pool.away())
        self._ports.pair(entry, peer)
        refusals = self._service.ask_all(lambda worker: self._table.attach(entry.port_id, worker))
        if refusals:
            self._remove(entry)
            raise TtfwdError(f'port "{config.name}": {"; ".join(refusals)}')
        if peer is not None:
            self._ports.pair(peer, entry)
            self._service.ask_all(lambda _: self._table.set_peer(peer.port_id))
        port = entry.port
        text = "port %s connected: %s, %d queues, %s"
        log.info(text, port.name, port.driver, port.queues, port.note, extra=about(port=port.name))
        return {
            "port": port.name,
            "slot": entry.port_id,
            "driver": port.driver.name,
            "io": port.driver.io_name or None,
            "driver_note": port.note,
            "offloads": list(offloads.names(port.device.offloads)),
            "netns": port.config.netns,
            "peer": config.peer,
            **self._ports.seen(entry),
        }

    def delete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Forward what the queues hold, then remove the port."""
        name = params.get("name")
        if not isinstance(name, str):
            raise BadRequest("name: the name of a port")
        entry = self._table.named(name)
        self._state.port_goes(entry.port_id)
        self._remove(entry)
        log.info("port %s deleted", name, extra=about(port=name))
        return {"port": name, "slot": entry.port_id}

    def _remove(self, entry: TablePort) -> None:
        self._ports.link_down(entry)
        self._service.ask_all(lambda _: self._table.detach(entry.port_id))
        self._ports.close(entry)
        self._service.forget(entry)
