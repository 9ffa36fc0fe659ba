# SPDX-License-Identifier: Apache-2.0
"""`ttfwd capture`: its options, and what it says beside the packets."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forwarder import rundir
from forwarder.errors import UsageError

if TYPE_CHECKING:
    from forwarder.capture.session import Request

_UNITS = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_STDOUT = Path("-")


class Size(click.ParamType[int, str]):
    """Bytes, such as 500k, 10M, 2G."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([1-9]\d{0,14})([kMG]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is not a size, such as 500k, 10M or 2G", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command()
@click.argument("ports", metavar="[PORT]...", nargs=-1)
@click.option("--name", metavar="INSTANCE", help="Which instance; default: the only one.")
@click.option("-w", "path", metavar="FILE", type=click.Path(path_type=Path), help="File to write.")
@click.option("--text", is_flag=True, help="A line for the way of each packet, instead of pcapng.")
@click.option(
    "--direction",
    "directions",
    type=click.Choice(["rx", "tx", "drop"]),
    multiple=True,
    help="Received, sent, or dropped ones; may be given more than once. Default: all.",
)
@click.option("--filter", "expression", metavar="EXPR", help="Only what passes, in libpcap's language.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N packets.")
@click.option("--snaplen", type=click.IntRange(min=1), metavar="BYTES", help="Keep so many bytes of each.")
@click.option(
    "--sample", type=click.IntRange(min=1), default=1, metavar="N", help="Only each Nth received packet."
)
@click.option("--rotate-size", type=Size(), help="Begin a new file after so many bytes: 500k, 10M, 2G.")
@click.option(
    "--rotate-time",
    type=click.FloatRange(min=0.1, max=1e9),
    metavar="SECONDS",
    help="The same after so many seconds.",
)
@click.option("--files", type=click.IntRange(min=1), metavar="N", help="Keep the last N files.")
def capture(
    ports: tuple[str, ...],
    name: str | None,
    path: Path | None,
    text: bool,
    directions: tuple[str, ...],
    expression: str | None,
    count: int | None,
    snaplen: int | None,
    sample: int,
    rotate_size: int | None,
    rotate_time: float | None,
    files: int | None,
) -> None:
    """Capture what an instance receives, sends and drops, and why, until Ctrl-C.

    PORT limits it to ports. Packets go to a pcapng file (-w), or to standard output for another program:
    ttfwd capture | wireshark -k -i -
    """
    from forwarder.capture.output import Rotation
    from forwarder.capture.session import DIRECTIONS, Request
    from forwarder.native import lib

    path = None if path == _STDOUT else path
    rotation = Rotation(rotate_size, rotate_time, files)
    if rotation.wanted and path is None:
        raise UsageError("--rotate-size and --rotate-time need a file: -w FILE")
    if files is not None and not rotation.wanted:
        raise UsageError("--files needs --rotate-size or --rotate-time")
    if path is None and not text and os.isatty(1):
        raise UsageError(
            "standard output is a terminal: write a file (-w FILE), pipe it (| tshark -r -), "
            "or ask for lines (--text)"
        )
    _run(
        Request(
            instance=rundir.the_instance(name, rundir.running()),
            ports=ports,
            directions=directions or DIRECTIONS,
            filter=expression,
            count=count,
            snap_bytes=min(snaplen or lib.TTF_FRAME_MAX_BYTES, lib.TTF_FRAME_MAX_BYTES),
            sample=sample,
            text=text,
            path=path,
            rotation=rotation,
        )
    )


def _run(request: Request) -> None:
    from forwarder.capture.session import Session
    from forwarder.cli.version import line

    with Session(request, line()) as session:
        for worker in session.late:
            click.echo(f"ttfwd: worker {worker} doesn't run now; it is captured once it does", err=True)
        click.echo(f'capturing instance "{request.instance}"; Ctrl-C ends', err=True)
        summary = session.run()
    click.echo(f"{summary.written} {'lines' if request.text else 'packets'} captured", err=True)
    for worker, lost in enumerate(summary.lost):
        if lost:
            click.echo(f"{lost} records of worker {worker} lost: they came too fast", err=True)
    for worker, malformed in enumerate(summary.malformed):
        if malformed:
            click.echo(f"worker {worker}: {malformed} times something else than a record", err=True)
