# SPDX-License-Identifier: Apache-2.0
"""`ttfwd doctor` on this machine, whatever it is: its exit code and its outputs."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from forwarder.host.recording import Recording
from tests.support.commands import run, unique
from tests.support.instance import TTFWD, instance, private_environment
from tests.support.results import result

CPU = min(os.sched_getaffinity(0))
ON_A_CPU = ("doctor", "--cpus", str(CPU))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return private_environment(tmp_path / "run")


def looked(*words: str | Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = run(TTFWD, *words, env=env, code=None)
    assert done.returncode in (0, 4), done.stderr
    assert done.stderr == ""
    return done


def test_json_says_what_the_exit_code_says(environment: dict[str, str]) -> None:
    done = looked(*ON_A_CPU, "--for", "latency", "--json", env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["kind"] == "doctor"
    assert (found["for"], found["cpus"]) == ("latency", [CPU])
    blocked = any(finding["level"] == "block" for finding in found["findings"])
    assert (done.returncode, found["publishable"]) == ((4, False) if blocked else (0, True))
    assert found["look"]["noise"][str(CPU)]["duration_ns"] >= 1_000_000_000
    assert found["fingerprint"] == Recording((CPU,)).host().fingerprint


def test_text_for_people_and_a_result_to_compare_with(tmp_path: Path, environment: dict[str, str]) -> None:
    here = Recording((CPU,)).host()
    other = here.model_copy(update={"facts": {**here.facts, "clock": {"source": "sundial"}}})
    for name, host in (("same", here), ("other", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(result(host=host).model_dump_json())
    same = looked(*ON_A_CPU, "--compare", tmp_path / "same", env=environment).stdout
    assert re.search(r"^for throughput on CPU \d+", same, re.MULTILINE)
    assert "the same fingerprint; no setting differs." in " ".join(same.split())
    differs = looked(*ON_A_CPU, "--compare", tmp_path / "other", env={**environment, "COLUMNS": "80"}).stdout
    assert re.search(r"^clock\.source +sundial +\S+ *$", differs, re.MULTILINE)
    assert max(map(len, differs.splitlines())) <= 80


def test_the_script_is_one(tmp_path: Path, environment: dict[str, str]) -> None:
    script = tmp_path / "script"
    script.write_text(looked(*ON_A_CPU, "--script", env=environment).stdout)
    run("sh", "-n", script)
    assert "usage" in run("sh", script, code=2).stderr


def test_an_instance_is_not_disturbed() -> None:
    """Its workers are where they should be: their CPUs aren't occupied, and their work isn't others'."""
    netns = unique("doctor")
    with instance(f'queues = 1\nmode = "rxonly"\n[[port]]\nname = "d0"\nnetns = "{netns}"\n') as it:
        words = ("doctor", "--json", "--name", it.name)
        found = json.loads(looked(*words, env=it.environment).stdout)
        assert found["cpus"] == [worker.cpu for worker in it.stats().workers]
        assert found["look"]["noise"] is None
        assert found["facts"]["devices"].keys() == {f"{netns}/d0"}
        assert found["facts"]["devices"][f"{netns}/d0"]["driver"]["name"] == "tun"
        assert next(each for each in found["findings"] if each["name"] == "noise")["level"] == "unknown"
        assert "no port" in run(TTFWD, *words, "--port", "nope", env=it.environment, code=2).stderr
