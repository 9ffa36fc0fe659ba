# SPDX-License-Identifier: Apache-2.0
"""The monitor's Prometheus: installed and purged, or given back as it was."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.hosts import Lab, lab_hosts
from tests.support.capabilities import missing
from tests.support.commands import run
from tests.support.service_host import ROOT, ServiceHost

SHARED = {"monitoring_targets": ["192.0.2.1:9467"], "monitoring_grafana": True}
OWN = "# of somebody else"


@contextmanager
def downloaded() -> Iterator[Path]:
    """Debian's package, where hosts see it."""
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as directory:
        got = run("apt-get", "download", "prometheus", code=None, cwd=directory)
        if got.returncode:
            missing(f"Debian's package prometheus: {got.stderr.strip()}")
        yield next(Path(directory).glob("prometheus_*.deb"))


def play(lab: Lab, name: str) -> None:
    played = lab.play(f"ttfwd.lab.{name}", lab.inventory({"monitor": ["mon1"]}, **SHARED))
    assert played.code == 0, played.output


def there(host: ServiceHost, *patterns: str) -> list[str]:
    return host.run("sh", "-c", f"ls -d {' '.join(patterns)} 2>/dev/null", code=None).split()


def is_installed(host: ServiceHost) -> bool:
    return "install ok installed" in host.run("dpkg-query", "--status", "prometheus", code=None)


@pytest.mark.timeout(900)
def test_a_prometheus_that_site_installed_is_purged() -> None:
    with downloaded() as package, lab_hosts("mon1") as lab:
        host = lab.host("mon1")
        host.run("dpkg", "--purge", "prometheus")
        host.run("rm", "-rf", "/etc/prometheus", "/var/lib/prometheus")
        # The host has no network. apt finds what it has fetched.
        host.run("cp", package, "/var/cache/apt/archives")

        play(lab, "site")
        for what, file in (("config", "prometheus.yml"), ("rules", "ttfwd.rules.yml")):
            host.run("promtool", "check", what, f"/etc/prometheus/{file}")
        assert '"192.0.2.1:9467"' in host.run("cat", "/etc/prometheus/prometheus.yml")
        host.wait("prometheus.service", "active")

        play(lab, "teardown")
        assert not is_installed(host)
        assert there(host, "/etc/prometheus", "/var/lib/prometheus", "/etc/grafana/provisioning/*/*") == []
        assert host.systemctl("is-active", "prometheus.service", code=None) == "inactive"


@pytest.mark.timeout(900)
def test_a_prometheus_that_was_there_gets_its_configuration_back() -> None:
    with lab_hosts("mon1") as lab:
        host = lab.host("mon1")
        host.run("sh", "-c", f"echo '{OWN}' >/etc/prometheus/prometheus.yml")
        before = there(host, "/etc/prometheus/*")
        for _ in range(2):  # what the first run left isn't taken for somebody else's
            play(lab, "site")
        assert "job_name: ttfwd" in host.run("cat", "/etc/prometheus/prometheus.yml")

        play(lab, "teardown")
        assert host.run("cat", "/etc/prometheus/prometheus.yml") == f"{OWN}\n"
        assert there(host, "/etc/prometheus/*") == before
        assert is_installed(host)
