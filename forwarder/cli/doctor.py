# SPDX-License-Identifier: Apache-2.0
"""`ttfwd doctor`: what of this host would spoil a measurement. It changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forwarder.bench.cpus import parse_option
from forwarder.bench.external import parse_endpoint
from forwarder.config.cpus import usable_cpus
from forwarder.errors import ExitCode, UsageError
from forwarder.host.checkup import check_up, quiet_cpus
from forwarder.host.compare import compare
from forwarder.host.finding import Purpose
from forwarder.host.script import script
from forwarder.host.tables import checkup_tables, comparison_tables
from forwarder.results.load import load
from forwarder.stats.reader import StatsReader
from forwarder.stats.section import make_console
from forwarder.stats.snapshot import Snapshot, select_ports
from forwarder.tester.trial import Endpoint


@dataclass(frozen=True)
class Subject:
    """What is to be measured: the CPUs that its workers run on, these, and its devices."""

    cpus: frozenset[int]
    workers: frozenset[int] = frozenset()  # processes
    devices: tuple[Endpoint, ...] = ()


def run(
    purpose: Purpose,
    instance: str | None,
    ports: tuple[str, ...],
    cpus: str | None,
    as_json: bool,
    as_script: bool,
    base: Path | None,
) -> ExitCode:
    """Raises TtfwdError."""
    if as_script and (as_json or base is not None):
        raise UsageError("--script goes without --json and --compare")
    stored = None if base is None else load(base)
    subject = _subject(instance, ports, cpus)
    devices = ((endpoint.device, endpoint.netns) for endpoint in subject.devices)
    checkup = check_up(purpose, subject.cpus, devices, subject.workers)
    comparison = None if stored is None else compare(stored.result.host, checkup.facts)
    if as_script:
        print(script(checkup), end="")
    elif as_json:
        found = checkup.to_json()
        if comparison is not None:
            found["compare"] = {"result": str(base), **comparison.to_json()}
        print(json.dumps(found))
    else:
        console = make_console()
        for each in checkup_tables(checkup):
            console.print(each)
        if comparison is not None:
            for each in comparison_tables(comparison, str(base)):
                console.print(each)
    return checkup.exit_code


def _subject(instance: str | None, ports: Iterable[str], cpus: str | None) -> Subject:
    usable = usable_cpus()
    wanted = None if cpus is None else frozenset(parse_option("--cpus", cpus, usable))
    if instance is None:
        return Subject(wanted or quiet_cpus(usable), devices=tuple(parse_endpoint(port) for port in ports))
    with StatsReader.attach(instance) as reader:
        snapshot = reader.snapshot()
    workers = [worker for worker in snapshot.workers if worker.pid]
    chosen = wanted or frozenset(worker.cpu for worker in snapshot.workers)
    return Subject(
        chosen,
        frozenset(
            (snapshot.instance.supervisor_pid, *(worker.pid for worker in workers if worker.cpu in chosen))
        ),
        _devices_of(snapshot, tuple(ports)),
    )


def _devices_of(snapshot: Snapshot, ports: tuple[str, ...]) -> tuple[Endpoint, ...]:
    """Of these ports, or of all. Raises UnknownName."""
    return tuple(
        Endpoint(port.device_name, port.netns or None)
        for port in select_ports(snapshot, ports)
        if port.link != "gone" and not port.netns.startswith("net:[")  # a namespace that has no name here
    )
