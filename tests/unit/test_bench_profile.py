# SPDX-License-Identifier: Apache-2.0
"""Profiles: every key has a default, options win over the file, and a mistake is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.bench.profile import OPTIONS, BenchProfile, load_profile
from forwarder.bench.quick import PROFILE
from forwarder.errors import ConfigError

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "configs" / "bench").glob("*.toml"))
WHOLE = "a whole number: 1 to 1000"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "profile.toml"


def problems(file: Path, text: str) -> dict[str, str]:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_profile(file, {})
    assert caught.value.source == str(file)
    return {problem.key_path: problem.message for problem in caught.value.problems}


def test_no_file_and_an_empty_one_are_the_defaults(file: Path) -> None:
    file.write_text("")
    assert load_profile(None, {}) == load_profile(file, {}) == BenchProfile()


def test_options_win_over_the_file_and_the_file_over_a_tests_defaults(file: Path) -> None:
    file.write_text('repeat = 5\n[traffic]\nsizes = "128"\nflows = 7\n[latency]\nduration_s = 2.0\n')
    profile = load_profile(file, {"sizes": "256", "vlan": [3], "goal": ["rfc2544"]}, PROFILE)
    assert (profile.traffic.sizes, profile.traffic.flows, profile.traffic.vlans) == ("256", 7, (3,))
    assert profile.goals == ("rfc2544",)
    assert profile.repeat == 5
    assert profile.latency.duration_s == 2.0
    assert profile.latency.loads_percent == (50,)  # what the test itself says


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("repeat = 0", {"repeat": "0 is too small: 1 to 100"}),
        ('goals = ["nix"]', {"goals[0]": '"nix" is not one of "ndr", "pdr", "rfc2544", "tst009", "quick"'}),
        ("goals = []", {"goals": "a search needs a goal: ndr, pdr, rfc2544, tst009, quick"}),
        ('goals = "ndr"', {"goals": '"ndr" is a string; this key takes an array: ["ndr"]'}),
        ("[traffic]\nip = 5", {"traffic.ip": "5 is not one of 4, 6"}),
        ("[traffic]\nvlans = [5000]", {"traffic.vlans[0]": "5000 is too large: 1 to 4094"}),
        ("[mrr]\ntrials = 1.5", {"mrr.trials": "1.5 is a floating-point number; this key takes " + WHOLE}),
        ("[burst]\nrepeats = ''", {"burst.repeats": '"" is a string; this key takes ' + WHOLE}),
        ("[mrr]\nsizes = '60'", {"mrr.sizes": "not a key of this table: write it in [traffic]"}),
        ("[mrr]\ntrial = 3", {"mrr.trial": 'no such key (did you mean "trials"?)'}),
        ("mrr = 3", {"mrr": "3 is a whole number; this key takes a table: [mrr]"}),
        ("sizes = ", {"line 1, end of file": "Invalid value"}),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(file: Path, text: str, found: dict[str, str]) -> None:
    assert problems(file, text) == found


def test_every_mistake_at_once(file: Path) -> None:
    text = 'repeat = -1\nfoo = 1\n[traffic]\nsizes = "61x"\nflows = 0\n[burst]\nrepeats = true'
    assert set(problems(file, text)) == {"repeat", "foo", "traffic.sizes", "traffic.flows", "burst.repeats"}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_wrong_option_is_named_as_it_was_written(option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(None, {option: [] if option == "goal" else object()})
    assert [problem.key_path for problem in caught.value.problems] == [f"--{option}"]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere\.toml: can't be read: No such file"):
        load_profile(Path("/nowhere.toml"), {})


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_can_be_used(path: Path) -> None:
    load_profile(path, {})
