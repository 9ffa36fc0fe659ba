# SPDX-License-Identifier: Apache-2.0
"""docs/doctor.md has each finding, and each fact that isn't in the fingerprint."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from forwarder.host.aspect import varying
from forwarder.host.checkup import judge
from forwarder.host.facts import facts
from tests.support import host_tree
from tests.support.host_parts import card, quiet_look
from tests.support.host_tree import QUIET

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_it_has_each_finding(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    it = judge("latency", QUIET, replace(facts(tree=tree), devices={"eth1": card()}), quiet_look(tree))
    sections = PAGE.partition("## What it finds")[2].partition("## The script")[0]
    told = re.findall(r"^\| `(\w+)` \|", sections, re.MULTILINE)
    assert sorted(told) == sorted(finding.name for finding in it.findings)


def test_it_has_each_fact_that_varies(tmp_path: Path) -> None:
    table = PAGE.partition("| aspect | facts that vary |\n|---|---|\n")[2].partition("\n\n")[0]
    told = {row[0]: set(row[1:]) for row in (re.findall(r"`(\w+)`", line) for line in table.splitlines())}
    aspects = facts(tree=host_tree.tree(tmp_path, host_tree.tuned())).aspects()
    assert told == {name: set(varying(aspect)) for name, aspect in aspects if varying(aspect)}
