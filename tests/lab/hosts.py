# SPDX-License-Identifier: Apache-2.0
"""Hosts of a lab on this machine: each a systemd with an sshd, in namespaces of its own. Cables are veths.

    with lab_hosts("tg1", "dut1") as lab:
        lab.cable("tg1", "eth1", "dut1", "eth1")
        lab.play("ttfwd.lab.cables", inventory)

They have the tested `ttfwd` and the units of deploy/. Ansible reaches them by SSH, in a namespace that is
theirs alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import ssh
from tests.lab.collection import ansible_environment
from tests.support.commands import TIME_FACTOR, in_namespace, ip, run
from tests.support.instance import TTFWD
from tests.support.netns import namespace
from tests.support.service_host import ServiceHost, service_host
from tests.support.wait import wait_until

PLAY_TIMEOUT_S = 600 * TIME_FACTOR
_NETWORK = "10.98.7"


@dataclass(frozen=True)
class Played:
    """How a playbook ended."""

    code: int
    output: str

    def ended(self, code: int) -> str:
        """Its output. Asserts its exit status."""
        assert self.code == code, self.output
        return self.output


class Lab:
    def __init__(self, directory: Path, control: str) -> None:
        self.directory = directory  # of Ansible, the key and the results
        self.results = directory / "results"
        self._control = control  # the namespace that Ansible runs in
        self._key = directory / "key"
        self._stacks: dict[str, ExitStack] = {}
        self._hosts: dict[str, ServiceHost] = {}
        self._addresses: dict[str, str] = {}
        self._cables: list[tuple[str, str, str, str]] = []
        ssh.make_key(self._key)

    def boot(self, name: str) -> None:
        """Boot a host, and plug its cables in."""
        stack = ExitStack()
        host = stack.enter_context(service_host(ssh.files(self._key)))
        self._stacks[name], self._hosts[name] = stack, host
        address = self._addresses.setdefault(name, f"{_NETWORK}.{len(self._addresses) + 11}")
        port = f"to{address.rpartition('.')[2]}"
        peer = ("peer", "name", "mgmt0", "netns", str(host.pid))
        ip("link", "add", port, "type", "veth", *peer, netns=self._control)
        ip("link", "set", port, "master", "br0", "up", netns=self._control)
        host.run("hostname", name)
        host.run("ip", "link", "set", "mgmt0", "up")
        host.run("ip", "address", "add", f"{address}/24", "dev", "mgmt0")
        host.run("ln", "-sf", TTFWD, "/usr/bin/ttfwd")
        host.run("mkdir", "-p", "/etc/ttfwd")
        host.systemctl("start", "lab-sshd")
        for cable in self._cables:
            if name in (cable[0], cable[2]) and {cable[0], cable[2]} <= self._hosts.keys():
                self._plug(*cable)
        wait_until(lambda: self._answers(address), f"{name} answers")

    def kill(self, name: str) -> None:
        """End a host as a power cut does."""
        del self._hosts[name]
        self._stacks.pop(name).close()

    def cable(self, a: str, a_interface: str, b: str, b_interface: str) -> None:
        """Plug a cable in. It comes back when a host is booted again."""
        self._cables.append((a, a_interface, b, b_interface))
        self._plug(a, a_interface, b, b_interface)

    def _plug(self, a: str, a_interface: str, b: str, b_interface: str) -> None:
        ends = [(a_interface, self._hosts[a].pid), (b_interface, self._hosts[b].pid)]
        near, far = (("name", interface, "netns", str(pid)) for interface, pid in ends)
        run("ip", "link", "add", *near, "type", "veth", "peer", *far)

    def unplug(self, host: str, interface: str) -> None:
        self._cables = [cable for cable in self._cables if (host, interface) not in (cable[:2], cable[2:])]
        self._hosts[host].run("ip", "link", "delete", interface)

    def host(self, name: str) -> ServiceHost:
        return self._hosts[name]

    def inventory(self, groups: Mapping[str, list[str]], **shared: Any) -> Path:
        """hosts.json: these hosts in their groups, with variables that all share."""
        options = (
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
            "-o ConnectTimeout=5 -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
        )
        known = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self._key),
            "ansible_ssh_common_args": options,
            "ansible_python_interpreter": "/usr/bin/python3",
            "lab_results": str(self.results),
            "report_executable": str(TTFWD),
        }
        children = {
            group: {"hosts": {name: {"ansible_host": self._addresses[name]} for name in names}}
            for group, names in groups.items()
        }
        path = self.directory / "hosts.json"
        path.write_text(json.dumps({"all": {"vars": {**known, **shared}, "children": children}}))
        return path

    def start_play(self, playbook: str, inventory: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), playbook, *options]
        return subprocess.Popen(
            in_namespace(self._control, *command),
            env=ansible_environment(self.directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def play(self, playbook: str, inventory: Path, *options: str) -> Played:
        playing = self.start_play(playbook, inventory, *options)
        output, _ = playing.communicate(timeout=PLAY_TIMEOUT_S)
        return Played(playing.returncode, output)

    def _answers(self, address: str) -> bool:
        """The connection comes from the control namespace, as Ansible's will."""
        probe = f"exec 3<>/dev/tcp/{address}/22"
        return run(*in_namespace(self._control, "bash", "-c", probe), code=None).returncode == 0

    def close(self) -> None:
        for name in list(self._hosts):
            self.kill(name)


@contextmanager
def lab_hosts(*names: str) -> Iterator[Lab]:
    """Hosts of these names, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="ttfwd-lab-") as directory, namespace() as control:
        ip("link", "add", "br0", "type", "bridge", netns=control)
        ip("link", "set", "br0", "up", netns=control)
        ip("address", "add", f"{_NETWORK}.1/24", "dev", "br0", netns=control)
        lab = Lab(Path(directory), control)
        try:
            for name in names:
                lab.boot(name)
            yield lab
        finally:
            lab.close()
