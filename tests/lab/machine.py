# SPDX-License-Identifier: Apache-2.0
"""A machine of a lab: a Debian 12 of its own, which GRUB boots in QEMU.

    with lab_machine(directory) as machine:
        machine.play("ttfwd.lab.site", ...)

It shows what the hosts of hosts.py can't: a boot. The processor is emulated, so all takes long. What it
writes to its disk is gone at the end.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.collection import ansible_environment
from tests.lab.disk import disk
from tests.lab.hosts import Played
from tests.support.capabilities import missing
from tests.support.commands import TIME_FACTOR, run
from tests.support.wait import wait_until

NAME = "dut1"
_LONGEST_S = 1800 * TIME_FACTOR
_OPTIONS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=60 -o LogLevel=ERROR"
)


class Machine:
    def __init__(self, directory: Path, key: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.directory = directory  # of Ansible and the log
        self._key = key
        self._port = port
        self._process = process

    def run(self, command: str, code: int | None = 0) -> str:
        """A shell's command line: what it prints."""
        words = ("-p", str(self._port), "root@127.0.0.1", command)
        return run("ssh", *self._options(), *words, code=code, timeout_s=_LONGEST_S).stdout

    def _options(self) -> list[str]:
        return ["-i", str(self._key), *_OPTIONS.split()]

    def wait(self) -> None:
        """Until it has booted."""

        def answers() -> bool:
            assert self._process.poll() is None, self.console()
            return "running" in self.run("systemctl is-system-running --wait", code=None)

        wait_until(answers, "the machine has booted", _LONGEST_S)

    def reboot(self) -> None:
        before = self._boot()
        self.run("systemctl reboot", code=None)
        wait_until(lambda: self._boot() not in ("", before), "the machine restarts", _LONGEST_S)
        self.wait()

    def _boot(self) -> str:
        return self.run("cat /proc/sys/kernel/random/boot_id", code=None)

    def console(self) -> str:
        return (self.directory / "console").read_text(errors="replace")[-5000:]

    def play(self, playbook: str, **shared: Any) -> Played:
        """Run a playbook with this machine as a device under test."""
        known = {
            "ansible_host": "127.0.0.1",
            "ansible_port": self._port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self._key),
            "ansible_ssh_common_args": _OPTIONS,
            "ansible_python_interpreter": "/usr/bin/python3",
            "lab_patience_s": 300,
        }
        groups = {"tester": {}, "dut": {"hosts": {NAME: {**known, **shared}}}, "monitor": {}}
        inventory = self.directory / "hosts.json"
        inventory.write_text(json.dumps({"all": {"children": groups}}))
        command = (sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), playbook)
        environment = {**ansible_environment(self.directory), "ANSIBLE_TIMEOUT": "120"}
        done = run(*command, code=None, timeout_s=_LONGEST_S, env=environment)
        return Played(done.returncode, done.stdout + done.stderr)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def lab_machine(directory: Path) -> Iterator[Machine]:
    """Boot it, and end it at the end of the block."""
    if shutil.which("qemu-system-x86_64") is None:
        missing("qemu-system-x86_64")
    made = disk()
    port = _free_port()
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2G"]
    command += ["-drive", f"file={made}/disk,format=raw,if=virtio,snapshot=on"]
    command += ["-nic", f"user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"]
    command += ["-display", "none", "-monitor", "none", "-serial", f"file:{directory}/console"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            machine = Machine(directory, made / "key", port, process)
            machine.wait()
            yield machine
        finally:
            process.kill()
