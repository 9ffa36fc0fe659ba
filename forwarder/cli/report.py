# SPDX-License-Identifier: Apache-2.0
"""`ttfwd report` and `ttfwd export`: results of bench, for people and for other programs."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import click

from forwarder.cli.bench import RESULTS
from forwarder.errors import ExitCode, NotPermitted, TtfwdError, UsageError
from forwarder.report.build import document
from forwarder.report.csv_tables import figures_csv, trials_csv
from forwarder.report.document import Document
from forwarder.report.hdr import hdr_log
from forwarder.report.lab.build import lab_document
from forwarder.report.openmetrics import openmetrics
from forwarder.report.to_html import html
from forwarder.report.to_markdown import markdown
from forwarder.report.to_text import print_text
from forwarder.report.uti import uti
from forwarder.results.lab import cell_of, load_lab
from forwarder.results.load import RESULT_FILE, StoredResult, load
from forwarder.stats.section import make_console

ReportFormat = Literal["text", "html", "md", "csv"]
ExportFormat = Literal["uti", "openmetrics", "hdr", "csv"]

PAGE = "report.html"  # in a result's directory
_STDOUT = Path("-")


def report(
    paths: Sequence[Path], compare: Path | None, kind: ReportFormat, out: Path | None, full: bool
) -> Sequence[StoredResult]:
    """Print the results, or write them to `out`. Raises TtfwdError.

    A page of HTML is nothing for a terminal: without `out` it goes into the directory of the first result.
    """
    results = [load(path) for path in paths or [latest(RESULTS)]]
    base = load(compare) if compare else None
    if kind == "text" and out in (None, _STDOUT):
        print_text(document(results, base), make_console(), full=full)
        return results
    if kind == "html" and out is None:
        out = results[0].path.with_name(PAGE)
    put(figures_csv(results, base) if kind == "csv" else _text(document(results, base), kind, full), out)
    return results


def lab_report(path: Path, kind: ReportFormat, out: Path | None, full: bool) -> None:
    """All results of a lab. Without `out`, a page goes into its folder. Raises TtfwdError."""
    if kind == "csv":
        raise UsageError(
            "--lab has no --format csv: a result's figures are in ttfwd report RESULT --format csv"
        )
    found = lab_document(load_lab(path))
    if kind == "text" and out in (None, _STDOUT):
        print_text(found, make_console(), full=full)
        return
    put(_text(found, kind, full), path / PAGE if kind == "html" and out is None else out)


def _text(found: Document, kind: ReportFormat, full: bool) -> str:
    match kind:
        case "html":
            return html(found)
        case "md":
            return markdown(found)
    written = io.StringIO()
    print_text(found, make_console(written), full=full)
    return written.getvalue()


def export(path: Path, kind: ExportFormat, out: Path | None) -> None:
    """One result in another program's format. Raises TtfwdError."""
    put(_EXPORTS[kind](load(path)), out)


def _json(stored: StoredResult) -> str:
    return json.dumps(uti(stored, cell_of(stored.path)), indent=1) + "\n"


_EXPORTS: Mapping[ExportFormat, Callable[[StoredResult], str]] = MappingProxyType(
    {"uti": _json, "openmetrics": openmetrics, "hdr": hdr_log, "csv": trials_csv}
)


def latest(results: Path) -> Path:
    """The directory of the result that was written last. Raises UsageError."""
    found = sorted((path.stat().st_mtime_ns, path) for path in results.glob(f"*/{RESULT_FILE}"))
    if not found:
        raise UsageError(f"no result in {results}/ here; name a RESULT, or make one: ttfwd bench quick")
    return found[-1][1].parent


def require_publishable(results: Sequence[StoredResult]) -> None:
    """End with the exit code for it unless all may be published; say which may not, and why."""
    failed = [stored for stored in results if not stored.result.publishable]
    for stored in failed:
        reasons = "; ".join(stored.result.why_not) or "no reason was recorded"
        click.echo(f"{stored.path}: not publishable: {reasons}", err=True)
    if failed:
        sys.exit(ExitCode.NOT_PUBLISHABLE)


def put(text: str, out: Path | None) -> None:
    """To stdout, or into a file: whole or not at all. Raises TtfwdError."""
    if out in (None, _STDOUT):
        click.echo(text, nl=False)
        return
    assert out is not None
    try:
        _write(text, out)
    except PermissionError as error:
        raise NotPermitted(f"{out}: can't be written: {error.strerror}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise TtfwdError(f"{out}: can't be written: {getattr(error, 'strerror', None) or error}") from None
    click.echo(out)


def _write(text: str, out: Path) -> None:
    data = text.encode("utf-8", "backslashreplace")
    if out.exists() and not out.is_file():  # a pipe, a terminal: nothing that could be replaced
        out.write_bytes(data)
        return
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        beside.replace(out)
    finally:
        with suppress(OSError):
            beside.unlink()
