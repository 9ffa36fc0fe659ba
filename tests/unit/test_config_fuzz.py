# SPDX-License-Identifier: Apache-2.0
"""Any file gives an instance or a list of problems, never a traceback."""

from __future__ import annotations

import copy
import json
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forwarder.config.checks import warnings
from forwarder.config.load import load, parse, port_from_params
from forwarder.config.model import Config, PortConfig
from forwarder.errors import ConfigError

pytestmark = pytest.mark.slow

CPUS = frozenset({0, 1, 2, 3})
ROOT = Path(__file__).resolve().parents[2]
FULL = """
name = "lab"
queues = 4
cpus = "0-3"
batch = 64
mode = "xconnect"
steering = "queue"
rx_mode = "adaptive"
spin_us = 50
ring_slots = 512
heartbeat_timeout_ms = 2000
drain_timeout_ms = 1000
[[port]]
name = "turbotap0"
driver = "auto"
io = "burst"
queues = 4
netns = "left"
address = ["10.77.0.1/24", "fd00::1/64"]
mtu = 1500
mac = "02:00:00:00:00:0a"
peer = "turbotap1"
[[port]]
name = "turbotap1"
driver = "packet"
"""
TEXTS = [FULL, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "configs").glob("*.toml")))]
KEYS = sorted({*Config.model_fields, *PortConfig.model_fields, "port", "size", "flows", "rate", "ageing_s"})

# Text that TOML can hold: any code point but surrogates.
text_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
plausible = st.sampled_from(
    [
        "",
        "auto",
        "0-1",
        "5-2",
        "xconnect",
        "bridge",
        "flow",
        "packet",
        "turbotap0",
        "..",
        "10.0.0.1",
        "::/0",
        "a%d",
    ]
)
integers = st.integers(-(2**70), 2**70) | st.integers(-2, 300) | st.sampled_from([2**4000, -(2**4000)])
scalars = (
    integers
    | st.booleans()
    | st.floats()
    | text_values
    | plausible
    | st.datetimes()
    | st.dates()
    | st.times()
)
keys = st.sampled_from(KEYS) | text_values
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """A value as TOML, with inline tables. Only for values that tomllib can return."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return hex(value) if value >= 0 else str(value)
        case float():
            return repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case _:
            return str(value.isoformat())


def document(table: dict[str, Any]) -> str:
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items())


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A valid document with one to six values swapped, deleted, added or moved."""
    tree: dict[str, Any] = copy.deepcopy(tomllib.loads(draw(st.sampled_from(TEXTS))))
    for _ in range(draw(st.integers(1, 6))):
        node: Any = tree
        while True:
            inner = [
                v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, dict | list)
            ]
            if not inner or draw(st.booleans()):
                break
            node = draw(st.sampled_from(inner))
        places = list(node) if isinstance(node, dict) else list(range(len(node)))
        action = draw(st.sampled_from(["replace", "delete", "add", "double"]))
        if action == "add" or not places:
            if isinstance(node, dict):
                node[draw(keys)] = draw(values)
            else:
                node.append(draw(values))
            continue
        place = draw(st.sampled_from(places))
        if action == "replace":
            node[place] = draw(values)
        elif action == "delete":
            del node[place]
        elif isinstance(node, list):
            node.append(copy.deepcopy(node[place]))
    return tree


def check(error: ConfigError) -> None:
    """Assert that the error can be printed: one line per problem, with its place and its text."""
    assert error.problems
    for problem in error.problems:
        assert problem.key_path.strip()
        assert problem.message.strip()
        assert len(problem.message) <= 400, problem
    lines = str(error).splitlines()
    assert len(lines) == len(error.problems)
    assert all(line.isprintable() for line in lines), lines
    assert len(set(lines)) == len(lines), lines


def outcome(text: str) -> Config | None:
    try:
        config = parse(text, "fuzz.toml", CPUS)
    except ConfigError as error:
        check(error)
        return None
    assert 1 <= config.queues <= 128
    assert len({port.name for port in config.ports}) == len(config.ports)
    for port in config.ports:
        assert 1 <= config.queues_of(port) <= config.queues
    assert all(warning.isprintable() for warning in warnings(config, CPUS))
    return config


def test_the_texts_that_are_mutated_are_valid() -> None:
    for text in TEXTS:
        assert outcome(text) is not None
        assert outcome(document(tomllib.loads(text))) == outcome(text)


@settings(max_examples=300)
@given(mutated())
def test_a_mutated_document_is_a_config_or_a_list_of_problems(tree: dict[str, Any]) -> None:
    text = document(tree)
    assert tomllib.loads(text).keys() == tree.keys()  # it is TOML, so the checks of values run
    outcome(text)


@settings(max_examples=300)
@given(st.sampled_from(TEXTS), st.integers(0, 2000), st.integers(0, 40), text_values)
def test_a_file_with_a_piece_overwritten_is_a_config_or_a_list_of_problems(
    text: str, start: int, length: int, piece: str
) -> None:
    outcome(text[:start] + piece + text[start + length :])


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("a." * 3000 + "a = 1")
@example("a = " + "{a = " * 2000)
@example("a = " + "[" * 2000 + "]" * 2000)
@example("[" + "a." * 3000 + "a]")
@example("\x00")
@example("queues = 0x" + "f" * 5000 + "\nzzz = 0x" + "f" * 5000)  # more digits than Python converts
@example("\r")
def test_any_text_is_a_config_or_a_list_of_problems(text: str) -> None:
    outcome(text)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from(TEXTS), st.integers(0, 2000))
@example(b"\xff\xfe", "", 0)
@example(b"\xef\xbb\xbf", "", 0)
def test_any_bytes_are_a_config_or_a_list_of_problems(piece: bytes, text: str, start: int) -> None:
    data = text.encode()
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data[:start] + piece + data[start:])
        file.flush()
        try:
            load(Path(file.name), CPUS)
        except ConfigError as error:
            check(error)


@settings(max_examples=300)
@given(
    st.dictionaries(keys, values | st.none(), max_size=6),
    st.sampled_from(["xconnect", "bridge", "macswap", "rxonly", "txonly"]),
    st.lists(st.sampled_from(["a", "b", "turbotap0"]), unique=True),
)
def test_any_request_to_connect_is_a_port_or_a_list_of_problems(
    params: dict[str, object], mode: Any, names: list[str]
) -> None:
    existing = [PortConfig(name=name) for name in names]
    try:
        port = port_from_params(params, Config(queues=2, mode=mode), existing)
    except ConfigError as error:
        check(error)
    else:
        assert port.name == params["name"]
        assert port.name not in names
