# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch's userspace datapath (datapath_type=netdev), on taps and on veths.

ovsdb-server and ovs-vswitchd run privately: database, sockets and logs are in their own folder, devices in
the middle namespace. The system's services are neither used nor changed. Both are pinned to the forwarder's
CPU. Two flows connect the ports, like ttfwd's xconnect and testpmd's io, so nothing is learnt or flooded.

userspace-tso-enable (off by default) lets it forward GSO frames and frames without checksums.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.commands import run
from tests.bench.load import FORWARDER_CPU
from tests.bench.peers.peer import Peer, Running, daemon
from tests.bench.peers.topology import PORT_A, PORT_B, SINK, SOURCE, Topology
from tests.support.commands import in_namespace

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_BRIDGE = "bridge"
_COMMAND_TIMEOUT_S = 15


def peers() -> list[Peer]:
    return [
        Peer("ovs-tap", "OVS tap", "tap", partial(_run, taps=True, tso=False)),
        Peer("ovs-tap-tso", "OVS tap, userspace TSO", "tap", partial(_run, taps=True, tso=True)),
        Peer("ovs-af_packet", "OVS AF_PACKET", "veth", partial(_run, taps=False, tso=False)),
        Peer(
            "ovs-af_packet-tso",
            "OVS AF_PACKET, userspace TSO",
            "veth",
            partial(_run, taps=False, tso=True),
            carries_segments=True,
        ),
    ]


@dataclass(frozen=True)
class _Ovs:
    """A private Open vSwitch in its folder."""

    topology: Topology
    folder: Path

    @property
    def env(self) -> Mapping[str, str]:
        own = ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")
        return {**os.environ, **dict.fromkeys(own, str(self.folder))}

    @property
    def database(self) -> str:
        return f"unix:{self.folder}/db.sock"

    def vsctl(self, *words: str) -> None:
        """Raises ProgramError."""
        run(["ovs-vsctl", f"--db={self.database}", f"--timeout={_COMMAND_TIMEOUT_S}", *words])

    def pinned(self, *command: str) -> list[str]:
        return in_namespace(self.topology.middle.netns, "taskset", "--cpu-list", str(FORWARDER_CPU), *command)


@contextmanager
def _run(topology: Topology, taps: bool, tso: bool) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="ttfwd-bench-") as name, ExitStack() as running:
        ovs = _Ovs(topology, Path(name))
        run(["ovsdb-tool", "create", f"{name}/conf.db", _SCHEMA])
        pids = [
            running.enter_context(
                daemon(
                    ovs.pinned("ovsdb-server", f"{name}/conf.db", f"--remote=p{ovs.database}"),
                    ovs.folder / "server.log",
                    ready=lambda _: Path(name, "db.sock").exists(),
                    env=ovs.env,
                )
            ).pid
        ]
        # Before the switch starts, as it reads this only once.
        ovs.vsctl("--no-wait", "init")
        ovs.vsctl(
            "--no-wait", "set", "Open_vSwitch", ".", f"other_config:userspace-tso-enable={str(tso).lower()}"
        )
        pids.append(
            running.enter_context(
                daemon(
                    ovs.pinned("ovs-vswitchd", ovs.database),
                    ovs.folder / "switch.log",
                    ready=lambda text: "connected" in text,
                    env=ovs.env,
                )
            ).pid
        )
        _connect(ovs, (SOURCE, SINK) if taps else (PORT_A, PORT_B), "tap" if taps else "system")
        if taps:
            topology.place_taps()
        yield Running(tuple(pids))


def _connect(ovs: _Ovs, ports: tuple[str, str], kind: str) -> None:
    ovs.vsctl(
        *("add-br", _BRIDGE, "--", "set", "bridge", _BRIDGE, "datapath_type=netdev", "fail-mode=secure")
    )
    for number, port in enumerate(ports, 1):
        ovs.vsctl(
            *("add-port", _BRIDGE, port, "--"),
            *("set", "interface", port, f"type={kind}", f"ofport_request={number}"),
        )
    for flow in ("in_port=1,actions=output:2", "in_port=2,actions=output:1"):
        run(["ovs-ofctl", "add-flow", f"unix:{ovs.folder}/{_BRIDGE}.mgmt", flow])
