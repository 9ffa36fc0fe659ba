# SPDX-License-Identifier: Apache-2.0
"""The monitor's Prometheus and Grafana: installed and purged, or given back as they were."""

from __future__ import annotations

from pathlib import Path

from tests.lab.deployed import changed
from tests.lab.hosts import Lab, lab_hosts
from tests.lab.package import debian_package
from tests.lab.repository import downloaded, know_no_repository, source_of
from tests.support.service_host import ServiceHost

SHARED = {"monitoring_targets": ["192.0.2.1:9467"], "monitoring_grafana": True}
OWN = "# of somebody else"


def play(lab: Lab, name: str, code: int = 0, **shared: object) -> str:
    inventory = lab.inventory({"monitor": ["mon1"]}, **SHARED, **shared)
    return lab.play(f"ttfwd.lab.{name}", inventory).ended(code)


def there(host: ServiceHost, *patterns: str) -> list[str]:
    return host.run("sh", "-c", f"ls -d {' '.join(patterns)} 2>/dev/null", code=None).split()


def is_installed(host: ServiceHost, package: str = "prometheus") -> bool:
    return "install ok installed" in host.run("dpkg-query", "--status", package, code=None)


def test_a_prometheus_that_site_installed_is_purged() -> None:
    with downloaded("prometheus") as packages, lab_hosts("mon1") as lab:
        host = lab.host("mon1")
        host.run("dpkg", "--purge", "prometheus")
        host.run("rm", "-rf", "/etc/prometheus", "/var/lib/prometheus")
        # The host has no network. apt finds what it has fetched.
        host.run("cp", *packages, "/var/cache/apt/archives")

        play(lab, "site")
        for what, file in (("config", "prometheus.yml"), ("rules", "ttfwd.rules.yml")):
            host.run("promtool", "check", what, f"/etc/prometheus/{file}")
        assert '"192.0.2.1:9467"' in host.run("cat", "/etc/prometheus/prometheus.yml")
        host.wait("prometheus.service", "active")

        play(lab, "teardown")
        assert not is_installed(host)
        assert there(host, "/etc/prometheus", "/var/lib/prometheus", "/etc/grafana/provisioning/*/*") == []
        assert host.systemctl("is-active", "prometheus.service", code=None) == "inactive"


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


def test_a_grafana_of_a_repository_is_installed_and_purged(tmp_path: Path) -> None:
    """Debian has no Grafana. A package with its name, its service and its folders stands for it."""
    files = {
        "lib/systemd/system/grafana-server.service": "[Service]\nExecStart=/bin/sleep infinity\n",
        "etc/grafana/grafana.ini": "",
    }
    grafana = debian_package(tmp_path, "grafana", "1", files)
    with source_of([grafana]) as source, lab_hosts("mon1") as lab:
        host = lab.host("mon1")
        know_no_repository(host)

        nowhere = {**source, "uris": "file:/nowhere"}
        said = play(lab, "site", 2, monitoring_grafana_repository=nowhere)
        assert "mon1: Install Grafana: Failed to update apt cache" in said

        play(lab, "site", monitoring_grafana_repository=source)
        host.wait("grafana-server.service", "active")
        assert there(host, "/etc/grafana/provisioning/*/*") == [
            "/etc/grafana/provisioning/dashboards/ttfwd.json",
            "/etc/grafana/provisioning/dashboards/ttfwd.yml",
            "/etc/grafana/provisioning/datasources/ttfwd.yml",
        ]
        assert changed(play(lab, "site", monitoring_grafana_repository=source))["mon1"] == 0

        play(lab, "teardown", monitoring_grafana_repository=source)
        assert not is_installed(host, "grafana")
        assert there(host, "/etc/grafana", "/etc/apt/sources.list.d/*", "/etc/apt/keyrings/grafana*") == []
        assert host.systemctl("is-active", "grafana-server.service", code=None) == "inactive"
