# SPDX-License-Identifier: Apache-2.0
"""The configuration: valid values are taken as written; all errors are reported at once, with places."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tomllib
from ipaddress import IPv4Address, ip_interface
from itertools import combinations
from pathlib import Path

import pytest
from pydantic import ValidationError

from forwarder.config import model
from forwarder.config.checks import warnings
from forwarder.config.document import MAX_FILE_BYTES
from forwarder.config.load import (
    json_schema,
    load,
    parse,
    port_from_params,
)
from forwarder.config.model import BridgeConfig, Config, PortConfig, TxOnlyConfig, peers_of
from forwarder.errors import WHOLE, ConfigError

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
CPUS = frozenset(range(8))

PAIR = """
[[port]]
name = "a"
peer = "b"
[[port]]
name = "b"
"""


def read(text: str, cpus: frozenset[int] = CPUS) -> Config:
    return parse(text, "test.toml", cpus)


def problems(text: str, cpus: frozenset[int] = CPUS) -> dict[str, str]:
    """Messages by key path; a path that is reported twice fails."""
    with pytest.raises(ConfigError) as caught:
        read(text, cpus)
    found = {p.key_path: p.message for p in caught.value.problems}
    assert len(found) == len(caught.value.problems), caught.value.problems
    return found


# -- valid values ------------------------------------------------------------------------------------------


def test_an_empty_file_is_an_instance_with_the_documented_defaults() -> None:
    config = read("")
    assert config == Config()
    assert config.model_dump() == {
        "name": "ttfwd",
        "queues": 1,
        "cpus": "auto",
        "batch": 64,
        "mode": "xconnect",
        "steering": "queue",
        "rx_mode": "adaptive",
        "spin_us": 50,
        "ring_slots": 512,
        "heartbeat_timeout_ms": 2000,
        "drain_timeout_ms": 1000,
        "bridge": {"ageing_s": 300},
        "txonly": {
            "size": 60,
            "flows": 1,
            "rate": 0,
            "dst_mac": "02:00:00:00:00:01",
            "src_mac": "02:00:00:00:00:02",
            "dst_ip": IPv4Address("198.18.0.2"),
            "src_ip": IPv4Address("198.18.0.1"),
        },
        "ports": (),
    }


def test_every_key_is_taken_as_written() -> None:
    config = read("""
        name = "lab"
        queues = 4
        cpus = "7,2-4"
        batch = 256
        steering = "flow"
        rx_mode = "polling"
        spin_us = 0
        ring_slots = 65536
        heartbeat_timeout_ms = 1000
        drain_timeout_ms = 0
        [[port]]
        name = "turbotap0"
        driver = "turbotap"
        io = "mmsg"
        queues = 2
        netns = "left"
        address = ["10.77.0.1/24", "fd00::1/64"]
        mtu = 9000
        mac = "02:AB:00:00:00:01"
        peer = "turbotap1"
        [[port]]
        name = "turbotap1"
        queues = 2
        """)
    assert (config.name, config.queues, config.cpus, config.batch) == ("lab", 4, "7,2-4", 256)
    assert (config.steering, config.rx_mode, config.spin_us) == ("flow", "polling", 0)
    assert (config.ring_slots, config.heartbeat_timeout_ms, config.drain_timeout_ms) == (65536, 1000, 0)
    first, second = config.ports
    assert first == PortConfig(
        name="turbotap0",
        driver="turbotap",
        io="mmsg",
        queues=2,
        netns="left",
        address=(ip_interface("10.77.0.1/24"), ip_interface("fd00::1/64")),
        mtu=9000,
        mac="02:ab:00:00:00:01",
        peer="turbotap1",
    )
    assert [str(address) for address in first.address] == ["10.77.0.1/24", "fd00::1/64"]
    assert (second.netns, second.io) == (None, None)
    assert peers_of(config.ports) == {"turbotap0": "turbotap1", "turbotap1": "turbotap0"}


def test_tables_of_the_modes_are_taken() -> None:
    assert read('mode = "bridge"\n[bridge]\nageing_s = 1').bridge == BridgeConfig(ageing_s=1)
    text = """
        mode = "txonly"
        [txonly]
        size = 1514
        rate = 1000
        dst_mac = "ff:ff:ff:ff:ff:ff"
        dst_ip = "10.0.0.9"
        """
    assert read(text).txonly == TxOnlyConfig(
        size=1514, rate=1000, dst_mac="ff:ff:ff:ff:ff:ff", dst_ip=IPv4Address("10.0.0.9")
    )


def test_a_port_has_the_queues_of_its_instance_unless_it_says_otherwise() -> None:
    config = read('queues = 4\nmode = "bridge"\n[[port]]\nname = "a"\n[[port]]\nname = "b"\nqueues = 3')
    assert [config.queues_of(port) for port in config.ports] == [4, 3]


@pytest.mark.parametrize("io", ["zerocopy", "burst", "mmsg"])
def test_io_goes_with_any_driver_that_may_be_turbotap(io: str) -> None:
    config = read(
        f'mode = "bridge"\n[[port]]\nname = "a"\nio = "{io}"\n'
        f'[[port]]\nname = "b"\ndriver = "turbotap"\nio = "{io}"'
    )
    assert [port.io for port in config.ports] == [io, io]


def test_a_packet_port_keeps_the_mtu_of_its_device() -> None:
    assert PortConfig(name="a").effective_mtu == 1500
    assert PortConfig(name="a", mtu=9000).effective_mtu == 9000
    assert PortConfig(name="a", driver="packet").effective_mtu is None


def test_models_are_frozen_and_travel_between_processes() -> None:
    text = PAIR + 'address = ["10.0.0.1/24", "fd00::1/64"]'
    config = read(text)
    with pytest.raises(ValidationError, match="frozen"):
        config.queues = 2
    assert hash(config) == hash(read(text))
    assert Config.model_validate_json(config.model_dump_json(by_alias=True)) == config
    assert Config.model_validate(config.model_dump()) == config
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_byte_order_mark_and_windows_line_ends_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b'\xef\xbb\xbfname = "lab"\r\nqueues = 2\r\n')
    assert load(path, CPUS).queues == 2


# -- the files of configs/ ---------------------------------------------------------------------------------


def test_there_are_configs() -> None:
    names = {path.stem for path in CONFIGS}
    assert {
        "4q", "1q", "bridge", "macswap", "rxonly", "txonly", "flow", "packet", "empty"
    } <= names  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_config_runs_as_it_is_on_any_machine(path: Path) -> None:
    config = load(path, frozenset({0}))
    assert config.cpus == "auto"
    assert load(path, CPUS) == config
    assert warnings(config, CPUS) == ()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_config_begins_with_what_it_is_and_the_command(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(rf"# \S.*:  ttfwd start -c configs/{path.name}", first)


def test_any_two_configs_run_side_by_side() -> None:
    configs = {path.name: load(path, CPUS) for path in CONFIGS}
    for (one, a), (two, b) in combinations(configs.items(), 2):
        assert a.name != b.name, (one, two)
        for p in a.ports:
            for q in b.ports:
                assert (p.netns, p.name) != (q.netns, q.name), (one, two)
                assert p.netns is None or p.netns != q.netns, (one, two)
                overlap = [
                    (x, y) for x in p.address for y in q.address if x.network.overlaps(y.network)
                ]  # fmt: skip
                assert overlap == [], (one, two)


def test_addresses_in_the_comments_are_those_of_the_file() -> None:
    for path in CONFIGS:
        text = path.read_text(encoding="utf-8")
        networks = set(re.findall(r"\b10\.\d+\.\d+\.", text))
        assert len(networks) == 1, path.name


def test_4q_is_the_example_of_the_documentation() -> None:
    config = load(ROOT / "configs" / "4q.toml", CPUS)
    assert (config.name, config.queues, config.mode) == ("lab", 4, "xconnect")
    assert [(p.name, p.netns, *map(str, p.address)) for p in config.ports] == [
        ("turbotap0", "left", "10.77.0.1/24"),
        ("turbotap1", "right", "10.77.0.2/24"),
    ]


def test_every_key_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for section in (Config, PortConfig, BridgeConfig, TxOnlyConfig):
        for name, field in section.model_fields.items():
            key = str(field.validation_alias or name)
            assert f"`{key}`" in page or f"`[{key}]`" in page or f"`[[{key}]]`" in page, key


def test_limits_are_those_of_the_datapath() -> None:
    header = (ROOT / "native" / "abi.h").read_text(encoding="utf-8")
    limits = {name: int(value) for name, value in re.findall(r"#define (TTF_MAX_\w+) (\d+)", header)}
    assert limits["TTF_MAX_WORKERS"] == model.MAX_QUEUES
    assert limits["TTF_MAX_PORTS"] == model.MAX_PORTS
    assert limits["TTF_MAX_BATCH"] == model.MAX_BATCH


# -- single wrong values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("batch = 257", "batch", "257 is too large: 1 to 256"),
        ("batch = 0", "batch", "0 is too small: 1 to 256"),
        ("queues = 129", "queues", "129 is too large: 1 to 128"),
        ("queues = -1", "queues", "-1 is too small: 1 to 128"),
        ('queues = "4"', "queues", '"4" is a string; this key takes a whole number: 1 to 128'),
        ("queues = 4.0", "queues", "4.0 is a floating-point number; this key takes a whole number: 1 to 128"),
        ("queues = true", "queues", "true is a boolean; this key takes a whole number: 1 to 128"),
        ("queues = [4]", "queues", "found an array; this key takes a whole number: 1 to 128"),
        ("queues = 2020-01-01", "queues", "found a date; this key takes a whole number: 1 to 128"),
        ("batch = 0x" + "f" * 5000, "batch", "a number of 20000 bits is too large: 1 to 256"),
        ("batch = -9223372036854775808", "batch", "-9223372036854775808 is too small: 1 to 256"),
        ("cpus = 2", "cpus", '2 is a whole number; this key takes a string: "2"'),
        (
            'cpus = "2-"',
            "cpus",
            '"2-" is neither "auto" nor a list of CPUs: '
            "'2-' is not a CPU or a range: write numbers and ranges, such as \"2-5,7\"",
        ),
        ('cpus = "6-9"', "cpus", "CPUs 8-9 don't exist or are not allowed to this process: allowed are 0-7"),
        ("spin_us = 10001", "spin_us", "10001 is too large: 0 to 10000"),
        ("ring_slots = 500", "ring_slots", "500 is not a power of two: the nearest are 256 and 512"),
        ("ring_slots = 131072", "ring_slots", "131072 is too large: 64 to 65536"),
        ("ring_slots = 0", "ring_slots", "0 is too small: 64 to 65536"),
        ("heartbeat_timeout_ms = 999", "heartbeat_timeout_ms", "999 is too small: 1000 to 60000"),
        ("drain_timeout_ms = 60001", "drain_timeout_ms", "60001 is too large: 0 to 60000"),
        (
            'mode = "xconect"',
            "mode",
            '"xconect" is not one of "xconnect", "bridge", "macswap", "rxonly", "txonly"'
            ' (did you mean "xconnect"?)',
        ),
        ("mode = 1", "mode", '1 is not one of "xconnect", "bridge", "macswap", "rxonly", "txonly"'),
        ('steering = "flows"', "steering", '"flows" is not one of "queue", "flow" (did you mean "flow"?)'),
        ('rx_mode = ""', "rx_mode", '"" is not one of "polling", "interrupt", "adaptive"'),
        ("bridge = 3", "bridge", "3 is a whole number; this key takes a table: [bridge]"),
        ("port = 3", "port", "3 is a whole number; this key takes an array of tables: write [[port]]"),
        ('[port]\nname = "a"', "port", "found a table; this key takes an array of tables: write [[port]]"),
        ("port = [3]", "port[0]", "3 is a whole number; this key takes a table: [[port]]"),
        ("quues = 2", "quues", 'no such key (did you mean "queues"?)'),
        ("Queues = 2", "Queues", 'no such key (did you mean "queues"?)'),
        ("ports = []", "ports", 'no such key (did you mean "port"?)'),
        ("zzz = 2", "zzz", "no such key"),
        ('"a b" = 2', '"a b"', "no such key"),
        ('"" = 2', '""', "no such key"),
        ('"\\n" = 2', '"\\n"', "no such key"),
        ("mtu = 1500", "mtu", "not a key of this table: write it in [[port]]"),
        ("rate = 5", "rate", "not a key of this table: write it in [txonly]"),
    ],
)
def test_a_wrong_value_is_told_what_would_be_right(text: str, path: str, message: str) -> None:
    assert problems(text) == {path: message}


@pytest.mark.parametrize(
    "name", ["", "-a", "_a", "a" * 33, "a b", "a/b", "lab\\n", "\u00e4", "..", "a\\u0000"]
)
def test_an_instance_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    assert "can't name an instance: 1 to 32 of A-Z a-z 0-9 _ -" in problems(f'name = "{name}"')["name"]


@pytest.mark.parametrize("name", ["a", "0", "A_b-9", "a" * 32])
def test_an_instance_name_is_taken(name: str) -> None:
    assert read(f'name = "{name}"').name == name


PORT_CASES = [
    ('name = "l\u00e0"', "name", "to the kernel, a byte of it is a space"),
    ('name = ""', "name", '"" can\'t name an interface: the kernel takes 1 to 15 bytes'),
    ('name = "abcdefghijklmnop"', "name", "the kernel takes 1 to 15 bytes"),
    ('name = "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"', "name", "1 to 15 bytes"),
    ('name = "a/b"', "name", "no white space, '/', ':' or '%'"),
    ('name = "a b"', "name", "no white space"),
    ('name = "a\\u00a0b"', "name", "no white space"),
    ('name = "tap%d"', "name", "no white space, '/', ':' or '%'"),
    ('name = "."', "name", "the kernel reserves it"),
    ('name = ".."', "name", "the kernel reserves it"),
    ('name = "all"', "name", "the kernel reserves it"),
    ("name = 7", "name", '7 is a whole number; this key takes a string: "7"'),
    ("mtu = 1500", "name", "missing: every port needs one"),
    ('name = "a"\nmtu = 1500000', "mtu", "1500000 is too large: 68 to 9000"),
    ('name = "a"\nmtu = 67', "mtu", "67 is too small: 68 to 9000"),
    (
        'name = "a"\noffload = "yes"',
        "offload",
        '"yes" is a string; this key takes true or false',
    ),
    ('name = "a"\nmtu = "1500"', "mtu", '"1500" is a string; this key takes a whole number: 68 to 9000'),
    ('name = "a"\nqueues = 300', "queues", "300 is too large: 1 to 128"),
    ('name = "a"\nqueues = 2', "queues", "2 is too large: at most the instance's queues, 1"),
    (
        'name = "a"\ndriver = "pcap"',
        "driver",
        '"pcap" is not one of "auto", "turbotap", "uring", "tap", "packet"',
    ),
    ('name = "a"\nio = "mmap"', "io", '"mmap" is not one of "zerocopy", "burst", "mmsg"'),
    (
        'name = "a"\nio = "brust"',
        "io",
        '"brust" is not one of "zerocopy", "burst", "mmsg" (did you mean "burst"?)',
    ),
    (
        'name = "a"\ndriver = "tap"\nio = "mmsg"',
        "io",
        "only valid with driver turbotap, and the driver is tap",
    ),
    (
        'name = "a"\ndriver = "packet"\nio = "burst"',
        "io",
        "only valid with driver turbotap, and the driver is packet",
    ),
    ('name = "a"\nnetns = "a/b"', "netns", '"a/b" can\'t name a network namespace'),
    ('name = "a"\nnetns = ""', "netns", '"" can\'t name a network namespace'),
    ('name = "a"\nnetns = ".."', "netns", '".." can\'t name a network namespace'),
    (f'name = "a"\nnetns = "{"n" * 64}"', "netns", "at most 63 bytes"),
    ('name = "a"\nnetns = "lab\u00c4"', "netns", '"lab\u00c4" can\'t name a network namespace: only ASCII'),
    ('name = "a"\naddress = "10.0.0.1/24"', "address", 'takes an array: ["10.0.0.1/24"]'),
    (
        'name = "a"\naddress = [5]',
        "address[0]",
        '5 is not a string: write an address and its prefix length, such as "10',
    ),
    ('name = "a"\naddress = ["10.0.0.1"]', "address[0]", 'has no prefix length: write "10.0.0.1/24"'),
    ('name = "a"\naddress = ["fd00::1"]', "address[0]", 'has no prefix length: write "fd00::1/64"'),
    ('name = "a"\naddress = ["10.0.0.1/33"]', "address[0]", "is not an interface address"),
    ('name = "a"\naddress = ["10.0.0.1/255.255.255.0"]', "address[0]", "is not an interface address"),
    ('name = "a"\naddress = ["10.0.0.256/24"]', "address[0]", "is not an interface address"),
    ('name = "a"\naddress = ["fe80::1%eth0/64"]', "address[0]", "is not an interface address"),
    ('name = "a"\naddress = ["0.0.0.0/0"]', "address[0]", "is not the address of a host"),
    ('name = "a"\naddress = ["10.0.0.1/24", "224.0.0.1/24"]', "address[1]", "is not the address of a host"),
    (
        'name = "a"\nmac = "02:00:00:00:00"',
        "mac",
        '"02:00:00:00:00" is not a MAC address: write six bytes, such as',
    ),
    ('name = "a"\nmac = "01:00:5e:00:00:01"', "mac", "is a group address"),
    ('name = "a"\nmac = "00:00:00:00:00:00"', "mac", "is not a device's address"),
    ('name = "a"\nadress = []', "adress", 'no such key (did you mean "address"?)'),
    (
        'name = "a"\naddress = ["fd00::1/64"]\nmtu = 1279',
        "mtu",
        "too small for an IPv6 address: at least 1280",
    ),
    (
        'name = "a"\ndriver = "packet"\nmtu = 1500',
        "mtu",
        "with driver packet this is for the device's owner to set: ip link",
    ),
    ('name = "a"\ndriver = "packet"\nmac = "02:00:00:00:00:01"', "mac", "for the device's owner to set"),
    ('name = "a"\ndriver = "packet"\naddress = ["10.0.0.1/24"]', "address", "ip address add ... dev a"),
    ('name = "a"\naddress = ["10.0.0.1/24", "10.0.0.1/8"]', "address[1]", "an address of this port already"),
]


@pytest.mark.parametrize(("text", "key", "message"), PORT_CASES, ids=[case[0][:50] for case in PORT_CASES])
def test_a_wrong_port_is_told_what_would_be_right(text: str, key: str, message: str) -> None:
    found = problems(f'mode = "macswap"\n[[port]]\n{text}')
    assert set(found) == {f"port[0].{key}"}
    assert message in found[f"port[0].{key}"]


def test_a_key_below_the_wrong_table_is_told_where_it_belongs() -> None:
    top = "not a key of this table: write it at the top, above the first [table]"
    assert problems('mode = "macswap"\n[[port]]\nname = "a"\nbatch = 1') == {"port[0].batch": top}
    assert problems('ageing_s = 1\nmode = "macswap"\n[[port]]\nname = "a"') == {
        "ageing_s": "not a key of this table: write it in [bridge]"
    }


@pytest.mark.parametrize(("text", "key", "message"), PORT_CASES, ids=[case[0][:50] for case in PORT_CASES])
def test_connect_refuses_what_a_file_refuses(text: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        port_from_params(tomllib.loads(text), Config(mode="macswap"), ())
    assert caught.value.source == "connect"
    assert [problem.key_path for problem in caught.value.problems] == [key]
    assert message in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("size = 59", "size", "59 is too small: 60 to 9014"),
        ("size = 9015", "size", "9015 is too large: 60 to 9014"),
        ("flows = 1025", "flows", "1025 is too large: 1 to 1024"),
        ("rate = -1", "rate", "-1 is too small: 0 to 1000000000"),
        (
            'dst_ip = "fd00::1"',
            "dst_ip",
            '"fd00::1" is not an IPv4 address: write a string, such as "198.18.0.1"',
        ),
        ("src_ip = 1", "src_ip", "1 is not an IPv4 address"),
        ('src_mac = "ff:ff:ff:ff:ff:ff"', "src_mac", "is a group address"),
        ('dst_mac = "nobody"', "dst_mac", '"nobody" is not a MAC address'),
        ("sise = 60", "sise", 'no such key (did you mean "size"?)'),
        ("queues = 2", "queues", "not a key of this table: write it at the top"),
    ],
)
def test_a_wrong_generator_is_told_what_would_be_right(text: str, key: str, message: str) -> None:
    found = problems(f'mode = "txonly"\n[txonly]\n{text}')
    assert set(found) == {f"txonly.{key}"}
    assert message in found[f"txonly.{key}"]


def test_more_ports_than_there_are_slots_are_refused() -> None:
    ports = "".join(f'[[port]]\nname = "p{index}"\n' for index in range(65))
    assert problems('mode = "bridge"\n' + ports) == {"port": "65 ports are too many: at most 64"}
    assert len(read('mode = "bridge"\n' + ports.removesuffix('[[port]]\nname = "p64"\n')).ports) == 64


# -- values that contradict others -------------------------------------------------------------------------


def test_peers_must_exist_and_be_two() -> None:
    one = '[[port]]\nname = "a"\npeer = "{}"\n'
    assert problems(one.format("x")) == {"port[0].peer": 'no port is named "x": there is no other port'}
    assert "can't be its own peer" in problems(one.format("a"))["port[0].peer"]
    assert problems(one.format("x") + '[[port]]\nname = "b"\npeer = "a"') == {
        "port[0].peer": 'no port is named "x": the others are "b"'
    }


def test_in_xconnect_a_port_without_a_peer_is_told_so() -> None:
    found = problems('[[port]]\nname = "a"\n[[port]]\nname = "b"\npeer = "c"\n[[port]]\nname = "c"')
    assert set(found) == {"port[0].peer"}
    assert "every port needs a peer" in found["port[0].peer"]


def test_peers_that_name_each_other_are_a_pair() -> None:
    config = read(PAIR + 'peer = "a"')
    assert peers_of(config.ports) == {"a": "b", "b": "a"}


def test_a_peer_that_names_another_is_refused() -> None:
    found = problems(PAIR + 'peer = "c"\n[[port]]\nname = "c"')
    assert set(found) == {"port[0].peer"}
    assert '"b" names "c" as its peer' in found["port[0].peer"]


def test_nobody_is_the_peer_of_two() -> None:
    found = problems(PAIR + '[[port]]\nname = "c"\npeer = "b"')
    assert found == {"port[2].peer": '"b" is the peer of "a" already: name another port'}


def test_peers_have_the_same_number_of_queues() -> None:
    found = problems("queues = 4\n" + PAIR + "queues = 2")
    assert found == {"port[1].queues": '2 here and 4 in its peer "a": peers have the same number'}
    assert read("queues = 4\n" + PAIR + "queues = 4").queues == 4


def test_a_peer_outside_xconnect_is_refused() -> None:
    assert problems('mode = "bridge"\n' + PAIR) == {
        "port[0].peer": "only valid in mode xconnect, and the mode is bridge"
    }


def test_names_are_unique_whatever_the_namespace() -> None:
    found = problems(PAIR + 'netns = "x"\n[[port]]\nname = "a"\nnetns = "y"')
    assert set(found) == {"port[2].name"}
    assert 'another port is named "a"' in found["port[2].name"]


def test_an_address_is_given_once() -> None:
    text = '[[port]]\nname = "{}"\naddress = ["10.0.0.1/{}"]\n'
    assert problems('mode = "bridge"\n' + text.format("a", 24) + text.format("b", 8)) == {
        "port[1].address[0]": '10.0.0.1 is an address of port "a" already'
    }


def test_a_table_of_another_mode_is_refused() -> None:
    found = problems("[bridge]\n[txonly]\n")
    assert found == {
        "bridge": "only valid in mode bridge, and the mode is xconnect",
        "txonly": "only valid in mode txonly, and the mode is xconnect",
    }


def test_frames_that_no_port_could_carry_are_refused() -> None:
    text = 'mode = "txonly"\n[txonly]\nsize = 1515\n[[port]]\nname = "a"\n[[port]]\nname = "b"\nmtu = 1501\n'
    found = problems(text)
    assert set(found) == {"port[0].mtu"}
    assert "at least 1501" in found["port[0].mtu"]


# -- all at once -------------------------------------------------------------------------------------------


def test_every_problem_of_a_file_is_told_at_once() -> None:
    found = problems("""
        queues = 2
        batch = 1000
        quick = 1
        cpus = "99"
        [bridge]
        [[port]]
        name = "a"
        mtu = 1
        peer = "x"
        queues = 3
        [[port]]
        name = "a"
        adress = []
        address = ["10.0.0.1/24", "nonsense", "10.0.0.1/24"]
        """)
    assert set(found) == {
        "batch",
        "quick",
        "cpus",
        "bridge",
        "port[0].mtu",
        "port[0].peer",
        "port[0].queues",
        "port[1].name",
        "port[1].adress",
        "port[1].address[1]",
        "port[1].address",
    }


def test_what_only_follows_from_another_problem_is_not_told() -> None:
    # If the mode is wrong, missing peers and misplaced tables can't be reported.
    assert set(problems('mode = "brdige"\n[bridge]\n[[port]]\nname = "a"')) == {"mode"}
    # If the number of workers is wrong, queues of ports can't be checked against it or against a peer's.
    assert set(problems('queues = "4"\n' + PAIR + "queues = 4")) == {"queues"}
    # An unreadable port may have the missing name.
    assert set(problems('[[port]]\nname = "a"\npeer = "b c"\n[[port]]\nname = "b"')) == {"port[0].peer"}
    assert set(problems('[[port]]\nname = 1\n[[port]]\nname = "b"\npeer = "a"')) == {"port[0].name"}
    assert set(problems('[[port]]\nname = 1\n[[port]]\nname = "b"')) == {"port[0].name"}
    # If one address of a list is wrong, the others are still checked.
    assert set(problems('mode = "txonly"\n[txonly]\nsize = 1\n[[port]]\nname = "a"\nmtu = 70')) == {
        "txonly.size"
    }


def test_ports_are_counted_as_in_the_file_when_one_before_is_unreadable() -> None:
    found = problems('mode = "bridge"\n[[port]]\nmtu = 1500\n[[port]]\nname = "b"\nqueues = 2')
    assert set(found) == {"port[0].name", "port[1].queues"}


def test_an_error_prints_one_line_a_problem_with_the_file_and_the_key() -> None:
    with pytest.raises(ConfigError) as caught:
        read("batch = 0\nqueues = 0")
    assert sorted(str(caught.value).splitlines()) == [
        "test.toml: batch: 0 is too small: 1 to 256",
        "test.toml: queues: 0 is too small: 1 to 128",
    ]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_long_and_unprintable_values_stay_on_a_line() -> None:
    assert problems('mode = "' + "x" * 1000 + '"')["mode"].startswith('"' + "x" * 37 + '..." is not one of')
    assert '"a\\nb"' in problems('mode = "a\\nb"')["mode"]
    assert "\u202e" not in problems('mode = "\\u202e"')["mode"]  # would reverse the rest of the line


# -- files that aren't configurations ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("queues = \nbatch = 1", "line 1, column 10", "Invalid value"),
        ("a = 1\na = 2", "line 2, end of file", "Cannot overwrite a value"),
        ('name = "lab', "line 1, end of file", "Unterminated string"),
        ("[[port]]\n[port]\n", "line 2, column 6", "Cannot declare"),
        ("a = " + "[" * 5000, WHOLE, "nested too deeply"),
        ("a = " + "9" * 5000, WHOLE, "not TOML: Exceeds the limit"),
        ("[" + "k" * 5000 + "]\n[" + "k" * 5000 + "]", "line 2, column 5002", "Cannot declare"),
    ],
    ids=["value", "twice", "string", "table", "deep", "digits", "long"],
)
def test_what_is_no_toml_is_told_where(text: str, path: str, message: str) -> None:
    found = problems(text)
    assert list(found) == [path]
    assert found[path].startswith(message)
    assert len(found[path]) <= 200


def unreadable(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, CPUS)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def test_a_file_that_cannot_be_read_is_told_why(tmp_path: Path) -> None:
    assert (
        unreadable(tmp_path / "none.toml")
        == f"{tmp_path}/none.toml: can't be read: No such file or directory"
    )
    assert unreadable(tmp_path) == f"{tmp_path}: can't be read: Is a directory"
    assert unreadable(Path("a\0b")).endswith("embedded null byte")
    assert unreadable(Path("x" * 300)).endswith("File name too long")


def test_a_file_that_is_not_utf_8_is_told_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin1.toml"
    path.write_bytes(b'queues = 1\nname = "caf\xe9"\n')
    assert unreadable(path) == f"{path}: line 2: byte 0xe9 is not UTF-8: save the file as UTF-8 text"


def test_a_device_that_never_ends_is_refused() -> None:
    assert (
        unreadable(Path("/dev/zero")) == f"/dev/zero: larger than {MAX_FILE_BYTES} bytes: not a configuration"
    )


def test_a_pipe_is_read_like_a_file() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"queues = 3\n")
    os.close(writer)
    try:
        assert load(Path(f"/dev/fd/{reader}"), CPUS).queues == 3
    finally:
        os.close(reader)


# -- connect -----------------------------------------------------------------------------------------------


def connect(config: Config, existing: list[PortConfig], **params: object) -> PortConfig:
    return port_from_params(params, config, existing)


def refused(config: Config, existing: list[PortConfig], **params: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        connect(config, existing, **params)
    return {p.key_path: p.message for p in caught.value.problems}


def test_connect_takes_a_port_without_a_peer_and_then_its_peer() -> None:
    first = connect(Config(), [], name="a", address=["10.0.0.1/24"], netns="x", mtu=None)
    assert first == PortConfig(name="a", netns="x", address=(ip_interface("10.0.0.1/24"),))
    second = connect(Config(), [first], name="b", peer="a")
    assert peers_of([first, second]) == {"a": "b", "b": "a"}


def test_connect_refuses_what_is_taken() -> None:
    a, b = PortConfig(name="a", peer="b", address=(ip_interface("10.0.0.1/24"),)), PortConfig(name="b")
    assert "another port is named" in refused(Config(), [a, b], name="a")["name"]
    assert "is the peer of" in refused(Config(), [a, b], name="c", peer="b")["peer"]
    assert '"a" names "b" as its peer' in refused(Config(), [a, b], name="c", peer="a")["peer"]
    assert "an address of port" in refused(Config(), [a], name="c", address=["10.0.0.1/8"])["address[0]"]
    assert "no port is named" in refused(Config(), [a, b], name="c", peer="x")["peer"]


def test_connect_takes_the_place_of_a_deleted_port() -> None:
    a = PortConfig(name="a", peer="b")  # b was deleted
    assert connect(Config(), [a], name="b").peer is None
    assert peers_of([a, PortConfig(name="b")]) == {"a": "b", "b": "a"}
    c = connect(Config(), [a], name="c", peer="a")
    assert peers_of([a, c]) == {"a": "c", "c": "a"}
    # Now b would be a second peer of a, because a still names it.
    assert "peer" in refused(Config(), [a, c], name="b", peer="c")


def test_connect_refuses_a_peer_while_another_port_waits_for_this_one() -> None:
    a, c = PortConfig(name="a", peer="b"), PortConfig(name="c")
    assert '"a" names this port as its peer' in refused(Config(), [a, c], name="b", peer="c")["peer"]


def test_connect_refuses_other_queues_than_its_peer_has() -> None:
    a = PortConfig(name="a", queues=2)
    assert "2 in its peer" in refused(Config(queues=4), [a], name="b", peer="a")["queues"]
    waiting = PortConfig(name="a", queues=2, peer="b")
    assert "2 in its peer" in refused(Config(queues=4), [waiting], name="b")["queues"]


def test_connect_refuses_a_port_too_many() -> None:
    existing = [PortConfig(name=f"p{index}") for index in range(64)]
    assert "at most 64" in refused(Config(mode="bridge"), existing, name="x")["name"]
    assert connect(Config(mode="bridge"), existing[:63], name="x").name == "x"


@pytest.mark.parametrize(
    "params", [{}, {"name": None}, {"\ud800": 1}, {"name": "\ud800"}, {1: 2, "name": "a"}]
)
def test_connect_refuses_what_no_file_could_say(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        port_from_params(params, Config(), ())
    str(caught.value).encode()  # can be printed


# -- warnings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("queues = 9", "queues: 9 workers share 8 CPUs (0-7), handed out round robin"),
        ('queues = 3\ncpus = "2,4"', "queues: 3 workers share 2 CPUs (2,4), handed out round robin"),
        ('queues = 9\nrx_mode = "polling"', "polling workers take each other's time"),
        ('queues = 2\ncpus = "2-4"', "cpus: only the first 2 of 2-4 are used"),
        ('steering = "flow"', "steering: flow has no effect with one queue"),
        ('queues = 2\nsteering = "flow"\nmode = "rxonly"', "steering: flow has no effect in mode rxonly"),
        ('queues = 2\nsteering = "flow"\nmode = "txonly"', "steering: flow has no effect in mode txonly"),
        ('rx_mode = "polling"\nspin_us = 5', "spin_us: no effect with rx_mode polling"),
        ('mode = "bridge"\n[[port]]\nname = "a"', "a bridge with one port forwards nothing"),
        (
            'queues = 2\nmode = "macswap"\n[[port]]\nname = "a"\nqueues = 1',
            "no port has more than 1: the rest",
        ),
        (PAIR + "mtu = 9000", "port: different MTUs (a 1500, b 9000)"),
        (
            '[[port]]\nname = "a"\npeer = "b"\nmac = "02:00:00:00:00:01"\n'
            '[[port]]\nname = "b"\nmac = "02:00:00:00:00:01"',
            "port: a and b have the same mac",
        ),
    ],
)
def test_what_is_allowed_and_doubtful_is_a_warning(text: str, warning: str) -> None:
    found = warnings(read(text), CPUS)
    assert len(found) == 1
    assert warning in found[0]


def test_a_plain_pair_has_no_warnings() -> None:
    assert warnings(read("queues = 4\n" + PAIR), CPUS) == ()


# -- schema ------------------------------------------------------------------------------------------------


def test_the_schema_tells_an_editor_keys_types_and_bounds() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["queues"]["maximum"] == 128
    assert properties["mode"]["enum"] == ["xconnect", "bridge", "macswap", "rxonly", "txonly"]
    assert properties["port"]["type"] == "array"
    assert "ports" not in properties
    port = schema["$defs"]["PortConfig"]
    assert port["required"] == ["name"]
    assert port["properties"]["mtu"]["type"] == "integer"
    assert port["properties"]["address"]["items"]["type"] == "string"
    assert "null" not in json.dumps(schema)  # which TOML doesn't have
    for table in (schema, *schema["$defs"].values()):
        for key, value in table["properties"].items():
            assert {"type", "enum", "$ref"} & value.keys(), key
        for pattern in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(table)):
            re.compile(json.loads(pattern))


# -- cost --------------------------------------------------------------------------------------------------


def test_workers_pay_for_nothing_heavy_when_they_import_affinity_and_restart() -> None:
    code = (
        "import sys, forwarder.config.cpus, forwarder.supervisor.leaky_bucket;"
        "print(*sorted({'pydantic', 'pydantic_core', 'psutil', 'rich', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
