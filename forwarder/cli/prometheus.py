# SPDX-License-Identifier: Apache-2.0
"""`ttfwd export prometheus`: the metrics of all instances, served, in a file, or printed."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from pathlib import Path

import click
from prometheus_client import CollectorRegistry, generate_latest, start_http_server, write_to_textfile

from forwarder.errors import TtfwdError
from forwarder.stats.metrics import Collector


def address(text: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:9467", "[::1]:9467" or ":9467" (loopback). Raises click.BadParameter."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{text!r} is not ADDR:PORT, such as 127.0.0.1:9467")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Collector())
    return registry


def serve(host: str, port: int) -> None:
    """Serve the metrics at http://host:port/metrics until SIGINT or SIGTERM. Raises TtfwdError."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        server, thread = start_http_server(port, host, _registry())
    except OSError as error:
        raise TtfwdError(f"{host}:{port}: can't listen: {error.strerror or error}") from None
    click.echo(f"metrics at http://{f'[{host}]' if ':' in host else host}:{port}/metrics", err=True)
    ended.wait()
    server.shutdown()
    server.server_close()
    thread.join()


def write(path: Path) -> None:
    """Replace a file for node_exporter's textfile collector, whole or not at all. Raises TtfwdError."""
    if path.exists() and not path.is_file():  # a device would be replaced, too
        raise TtfwdError(f"{path}: can't be replaced: it is no regular file")
    try:
        write_to_textfile(str(path), _registry())
    except OSError as error:
        raise TtfwdError(f"{path}: can't be written: {error.strerror or error}") from None


def show() -> None:
    """Print the metrics."""
    with suppress(BrokenPipeError):
        click.echo(generate_latest(_registry()), nl=False)
