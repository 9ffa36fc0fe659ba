# SPDX-License-Identifier: Apache-2.0
"""What the role monitoring gives Grafana: files of the form that Grafana documents, which fit one another."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader

ROLE = Path(__file__).resolve().parents[2] / "deploy" / "ansible" / "roles" / "monitoring"
# Keys of Grafana's provisioning files.
TOP = {"apiVersion", "prune", "deleteDatasources", "datasources"}
SOURCE = {
    *("name", "uid", "type", "access", "orgId", "url", "user", "database", "basicAuth", "basicAuthUser"),
    *("withCredentials", "isDefault", "jsonData", "secureJsonData", "version", "editable"),
}
PROVIDER = {
    *("name", "orgId", "folder", "folderUid", "type", "disableDeletion", "updateIntervalSeconds"),
    *("allowUiUpdates", "options"),
}


def read(path: str) -> Any:
    return DataLoader().load_from_file(str(ROLE / path))


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROLE / "files/ttfwd.json").read_text())
    return found


def variables() -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in dashboard()["templating"]["list"]}


def test_the_provisioning_files_have_grafanas_form() -> None:
    sources, dashboards = read("files/datasources.yml"), read("files/dashboards.yml")
    assert sources["apiVersion"] == dashboards["apiVersion"] == 1
    assert sources.keys() <= TOP
    assert dashboards.keys() == {"apiVersion", "providers"}
    (source,), (provider,) = sources["datasources"], dashboards["providers"]
    assert {"name", "uid", "type", "access", "url"} <= source.keys() <= SOURCE
    assert {"name", "type", "options"} <= provider.keys() <= PROVIDER
    assert provider["type"] == "file"
    # Grafana doesn't start if another file has a default data source, too.
    assert "isDefault" not in source


def test_the_dashboard_is_where_the_provider_looks() -> None:
    (provider,) = read("files/dashboards.yml")["providers"]
    (copied,) = (task for task in read("tasks/grafana.yml") if task["name"] == "Copy the dashboard")
    assert Path(copied["ansible.builtin.copy"]["dest"]).parent == Path(provider["options"]["path"])


def test_the_dashboard_asks_the_provisioned_data_source() -> None:
    (source,) = read("files/datasources.yml")["datasources"]
    chosen = variables()["datasource"]
    assert (chosen["type"], chosen["query"]) == ("datasource", source["type"])
    assert chosen["current"] == {"text": source["name"], "value": source["uid"]}
    asked = [*dashboard()["panels"], *(one for one in variables().values() if one["type"] == "query")]
    asked += [target for panel in dashboard()["panels"] for target in panel["targets"]]
    assert len(asked) > 20
    assert all(one["datasource"] == {"type": source["type"], "uid": "${datasource}"} for one in asked)


def test_the_dashboards_variables_exist_and_its_panels_stand_beside_one_another() -> None:
    found = dashboard()
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([found["panels"], found["templating"]])))
    assert {name for name in used if not name.startswith("__")} == variables().keys()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= 24 for at in places)
    for one, other in combinations(places, 2):
        apart = (one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]) or (
            one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
