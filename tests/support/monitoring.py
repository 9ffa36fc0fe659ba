# SPDX-License-Identifier: Apache-2.0
"""A private Prometheus on loopback, and the exporter that it scrapes."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.capabilities import missing
from tests.support.instance import TTFWD
from tests.support.wait import wait_until

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "ttfwd.rules.yml"
_CONFIG = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: ttfwd
    static_configs: [{{targets: ["{target}"]}}]
"""

Sample = tuple[float, float]  # time, value


@dataclass(frozen=True)
class Series:
    labels: dict[str, str]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Prometheus:
    address: str

    def _get(self, path: str, **query: str) -> Any:
        url = f"http://{self.address}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float | None:
        """The value of an expression that has one series at most, None without one."""
        found = self._get("/api/v1/query", query=expression)["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def wait_for(self, expression: str, value: float) -> None:
        wait_until(lambda: self.value(expression) == value, f"Prometheus has {expression} == {value:g}")

    def scraped(self, selector: str) -> list[Series]:
        """Every sample that was scraped, by series."""
        found = self._get("/api/v1/query", query=f"{selector}[1h]")["result"]
        return [Series(each["metric"], tuple((t, float(v)) for t, v in each["values"])) for each in found]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def promtool(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run promtool. A complaint is a failure."""
    if shutil.which("promtool") is None:
        missing("promtool")
    done = subprocess.run(
        ["promtool", *map(str, words)], capture_output=True, text=True, timeout=60, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@contextmanager
def _running(command: Sequence[str | Path], log: Path, url: str) -> Iterator[None]:
    """Run a server until the block ends. The block begins once it answers."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def answers() -> bool:
        assert process.poll() is None, f"{command}: {log.read_text()}"
        try:
            with urllib.request.urlopen(url, timeout=30):
                return True
        except OSError:
            return False

    try:
        wait_until(answers, f"{url} answers")
        yield
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


@contextmanager
def exporter(directory: Path) -> Iterator[str]:
    """`ttfwd export prometheus --listen`; yields its address."""
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [TTFWD, "export", "prometheus", "--listen", address]
    with _running(command, directory / "exporter.log", f"http://{address}/metrics"):
        yield address
    assert "Traceback" not in (directory / "exporter.log").read_text()


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    """A Prometheus with our alerts that scrapes `target`, and keeps what it has in `directory`."""
    if shutil.which("prometheus") is None:
        missing("prometheus")
    address = f"127.0.0.1:{free_port()}"
    config = directory / "prometheus.yml"
    config.write_text(_CONFIG.format(rules=RULES, target=target))
    command: list[str | Path] = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
    ]
    command += [f"--web.listen-address={address}", "--log.level=warn"]
    with _running(command, directory / "prometheus.log", f"http://{address}/-/ready"):
        yield Prometheus(address)
