# SPDX-License-Identifier: Apache-2.0
"""`ttfwd bench`: options and arguments of the tests. What they do is in forwarder.bench.

Progress goes to stderr, the result to stdout. Exit code 4: measured, and not fit to be published.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from forwarder.errors import TtfwdError, UsageError

if TYPE_CHECKING:
    from forwarder.bench.request import Request
    from forwarder.results.model import Test

Options = tuple[Callable[[Any], Any], ...]

RESULTS = Path("results")  # the default place of results, in the working directory

_OUT = (
    click.option(
        "--out", type=click.Path(path_type=Path), help="Directory of the result; default: results/<time>."
    ),
    click.option("--json", "as_json", is_flag=True, help="The result on stdout, and nothing else."),
)
_TRAFFIC = (
    click.option("-p", "--profile", type=click.Path(path_type=Path), help="TOML file: configs/bench/."),
    click.option("--sizes", help="Bytes of a frame without FCS, or a mix: 60x7,566x4,1514x1."),
    click.option("--flows", type=int, help="1 to 1048576."),
    click.option("--ip", type=int, help="4 or 6."),
    click.option("--vlan", type=int, multiple=True, help="A VLAN tag; may be given twice, the outer first."),
    click.option("--directions", type=int, help="1, or 2: both at once."),
    click.option("--pcap", metavar="FILE", help="Send the frames of a capture instead."),
    click.option("--tester-cpus", help='CPUs of the generator, such as "0" or "0,2".'),
    click.option("--allow-noise", is_flag=True, help="Disturbed trials count; the result says so."),
    click.option("--max-time", type=float, help="Seconds after which a search ends."),
)
_DUT = (
    click.option("--dut", help="FILE.toml of an instance to start, or the NAME of one that runs."),
    click.option(
        "--external",
        nargs=2,
        metavar="A B",
        help="Anything between two devices; each DEVICE or NETNS/DEVICE.",
    ),
    click.option("--ports", metavar="A,B", help="Between which ports of the instance; default: the first."),
    click.option("--ends", nargs=2, metavar="A B", help="The tester's devices, where ports don't tell them."),
    click.option("--dut-cpus", help="CPUs that an external device works on."),
    click.option("--dut-pid", type=int, multiple=True, help="A process of its, there; may be given again."),
    click.option("--allow-shared-cpus", is_flag=True, help="Tester and DUT on one CPU; the result says so."),
    click.option("--receiver", help="Where frames are received: tc (the default), xdp or packet."),
)
_RATE = (click.option("--rate", type=float, help="Frames a second, instead of a search for the throughput."),)
_GOAL = (click.option("--goal", help="Of ndr,pdr,rfc2544,tst009,quick; default: ndr,pdr."),)
_REPEAT = (click.option("--repeat", type=int, help="Starts of the DUT; default: 3 with --dut FILE."),)


class _InOrder(click.Group):
    """Lists its commands as they stand here: what a newcomer needs comes first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder)
def bench() -> None:
    """Measure what forwards between two devices: throughput, latency, loss."""


def _add(test: Test, what: str, *groups: Options) -> None:
    """A command of the test's name. `what` is its line of help."""

    def command(**given: Any) -> None:
        _measure(test, given)

    for option in reversed([option for group in groups for option in group]):
        command = option(command)
    bench.command(test, help=what)(command)


_add("quick", "A first look, in two minutes and without a file.", _TRAFFIC, _OUT)
_add("selftest", "The tester against itself: its highest load, its noise.", _TRAFFIC, _OUT)
_add("mrr", "What comes through at the highest load.", _DUT, _REPEAT, _TRAFFIC, _OUT)
_add("ndrpdr", "Throughput, without loss and with a little (RFC 9971).", _DUT, _GOAL, _REPEAT, _TRAFFIC, _OUT)
_add("latency", "Latency at 0, 10, 50 and 90 % of the PDR.", _DUT, _GOAL, _RATE, _TRAFFIC, _OUT)
_add("loss", "Loss from the highest load down (RFC 2544, 26.3).", _DUT, _TRAFFIC, _OUT)
_add("burst", "The longest burst that comes through (RFC 9004).", _DUT, _GOAL, _RATE, _TRAFFIC, _OUT)
_add("soak", "Loss in each second of a long run.", _DUT, _GOAL, _RATE, _TRAFFIC, _OUT)
_add("reset", "What it costs to lose a worker under load (RFC 6201).", _DUT, _GOAL, _RATE, _TRAFFIC, _OUT)
_add("reconf", "What it costs to add and delete a port under load.", _DUT, _GOAL, _RATE, _TRAFFIC, _OUT)


# Options that stand for keys of a profile: theirs are the names that a profile's errors use.
_KEYS = (
    "sizes",
    "flows",
    "ip",
    "vlan",
    "directions",
    "pcap",
    "receiver",
    "repeat",
    "rate",
    "max_time",
    "goal",
)


def _measure(test: Test, given: dict[str, Any]) -> None:
    from forwarder.bench.conduct import exit_code
    from forwarder.bench.session import measure
    from forwarder.cli.bench_progress import NoProgress, ProgressView

    request = _request(test, given)
    if request.test == "quick" and request.allow_shared_cpus:
        click.echo("ttfwd: there is one CPU: tester and forwarder take turns on it", err=True)
    try:
        with NoProgress() if given["as_json"] else ProgressView() as progress:
            result = measure(request, progress)
    except KeyboardInterrupt:
        raise TtfwdError("interrupted before anything was measured") from None
    if given["as_json"]:
        click.echo(result.model_dump_json(indent=1))
    else:
        _show(request.out, brief=test == "quick")
    sys.exit(exit_code(result))


def _show(directory: Path, brief: bool) -> None:
    """What was found, without the circumstances; `brief`: the main figures alone."""
    from forwarder.report.build import document
    from forwarder.report.findings import findings
    from forwarder.report.to_text import print_text
    from forwarder.results.load import load
    from forwarder.stats.section import make_console

    stored = load(directory)
    report = document([stored])
    sections = () if brief else tuple(findings(stored, None))
    console = make_console()
    print_text(
        replace(report, articles=tuple(replace(each, sections=sections) for each in report.articles)), console
    )
    console.print(
        f"\nKept in {directory}. All of it: ttfwd report {directory}; a page to show: --format html"
    )


def _request(test: Test, given: dict[str, Any]) -> Request:
    """What the options ask for. Raises UsageError, ConfigError."""
    from forwarder.bench.external import parse_endpoint
    from forwarder.bench.profile import load_profile
    from forwarder.bench.quick import PROFILE
    from forwarder.bench.request import Request
    from forwarder.bench.session import run_id
    from forwarder.config.cpus import allowed_cpus

    options: dict[str, Any] = {
        key.replace("_", "-"): list(value) if key == "vlan" else value
        for key in _KEYS
        if (value := given.get(key)) not in (None, ())
    }
    if "goal" in options:
        options["goal"] = [name.strip() for name in options["goal"].split(",")]
    dut: str | None = given.get("dut")
    is_file = dut is not None and ("/" in dut or dut.endswith(".toml"))
    request = Request(
        test=test,
        profile=load_profile(given["profile"], options, PROFILE if test == "quick" else {}),
        out=given["out"] or RESULTS / run_id(),
        command=("ttfwd", *sys.argv[1:]),
        config=Path(dut) if dut is not None and is_file else None,
        instance=None if is_file else dut,
        external=_two(given.get("external"), parse_endpoint),
        ports=_two(given["ports"].split(","), str.strip) if given.get("ports") else None,
        ends=_two(given.get("ends"), parse_endpoint),
        dut_cpus=given.get("dut_cpus"),
        dut_pids=given.get("dut_pid", ()),
        tester_cpus=given["tester_cpus"],
        allow_shared_cpus=given.get("allow_shared_cpus", test == "quick" and len(allowed_cpus()) == 1),
        allow_noise=given["allow_noise"],
    )
    request.check()
    return request


_Part = TypeVar("_Part")


def _two(words: Any, parse: Callable[[str], _Part]) -> tuple[_Part, _Part] | None:
    if not words:
        return None
    if len(words) != 2:
        raise UsageError(f'"{",".join(words)}" is not two ports: write A,B')
    return parse(words[0]), parse(words[1])
