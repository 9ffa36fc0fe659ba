# SPDX-License-Identifier: Apache-2.0
"""Verdicts for bytes: all modes, the forwarding table, the flow hash, MTU and checksum arithmetic.

Buffers have exactly the size of their frame, so a sanitizer finds every read past the end.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Packet, Raw

from forwarder.worker.messages import MODES
from tests.native.ext import ffi, lib
from tests.native.harness import exact, mac
from tests.support.offloads import VNET_HDR_BYTES, left_to_the_device, vnet_header

SECOND_NS = 10**9
AGEING_NS = 300 * SECOND_NS
PORT, FLOOD, DROP = lib.TTF_VERDICT_PORT, lib.TTF_VERDICT_FLOOD, lib.TTF_VERDICT_DROP

A_MAC, B_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def ether(**fields: Any) -> Packet:
    return Ether(**{"dst": B_MAC, "src": A_MAC, **fields})


PACKETS: dict[str, bytes] = {
    "ipv4-tcp": bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2)),
    "ipv4-udp": bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"x")),
    "ipv4-options": bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2", options=[b"\x01"] * 8) / UDP()),
    "ipv4-first-fragment": bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2", flags="MF") / UDP()),
    "ipv4-later-fragment": bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2", frag=100) / Raw(bytes(64))),
    "ipv4-icmp": bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP()),
    "ipv4-sctp": bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2") / SCTP(sport=1, dport=2)),
    "ipv6-tcp": bytes(ether() / IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=1, dport=2)),
    "ipv6-udp": bytes(ether() / IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1, dport=2)),
    "ipv6-fragment": bytes(ether() / IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(m=1) / UDP()),
    "ipv6-extensions": bytes(
        ether()
        / IPv6(src="fd00::1", dst="fd00::2")
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrRouting(addresses=["fd00::3"])
        / IPv6ExtHdrDestOpt()
        / UDP(sport=1, dport=2)
    ),
    "ipv6-ah": bytes(
        ether()
        / IPv6(src="fd00::1", dst="fd00::2", nh=51)
        / AH(nh=17, payloadlen=4, icv=bytes(12))
        / UDP(sport=1, dport=2)
    ),
    "vlan": bytes(ether() / Dot1Q(vlan=7) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2)),
    "qinq": bytes(
        ether() / Dot1AD(vlan=7) / Dot1Q(vlan=8) / IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1, dport=2)
    ),
    "three-tags": bytes(ether() / Dot1Q() / Dot1Q() / Dot1Q() / IP() / UDP()),
    "arp": bytes(ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.0.0.2")),
    "jumbo": bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(bytes(8960))),
    "bare-header": bytes(ether(type=0x88B5)),
}
UNICAST = [name for name in PACKETS if name != "arp"]
EACH = pytest.mark.parametrize("name", PACKETS)


class Table:
    """A struct forward_table with its own forwarding table."""

    def __init__(self, mode: str) -> None:
        self.fdb = ffi.new("struct ttf_fdb *")
        self.fdb.ageing_ns = AGEING_NS
        self.table = ffi.new("struct forward_table *", {"mode": MODES[mode], "fdb": self.fdb})
        for slot in range(lib.TTF_MAX_PORTS):
            self.table.peer[slot] = -1

    def forward(self, in_port: int, data: bytes, now_ns: int = SECOND_NS) -> tuple[int, int, bytes]:
        """The verdict, its value, and the bytes after forwarding."""
        buffer = exact(data)
        verdict = lib.ttf_forward(self.table, in_port, buffer, len(data), now_ns)
        return verdict.kind, verdict.value, bytes(ffi.buffer(buffer))

    def bridge(self, in_port: int, src: bytes, dst: bytes, now_ns: int = SECOND_NS) -> tuple[int, int]:
        return self.forward(in_port, dst + src + b"\x88\xb5" + bytes(46), now_ns)[:2]


# --------------------------------------------------------------------------------------------- verdicts


@EACH
def test_xconnect_goes_to_the_peer_untouched(name: str) -> None:
    table = Table("xconnect")
    table.table.peer[3], table.table.peer[4] = 4, 3
    assert table.forward(3, PACKETS[name]) == (PORT, 4, PACKETS[name])
    assert table.forward(4, PACKETS[name]) == (PORT, 3, PACKETS[name])
    assert table.forward(5, PACKETS[name]) == (DROP, lib.TTF_DROP_NO_PORT, PACKETS[name])


@EACH
def test_macswap_goes_back_with_addresses_swapped(name: str) -> None:
    data = PACKETS[name]
    swapped = data[6:12] + data[:6] + data[12:]
    assert Table("macswap").forward(7, data) == (PORT, 7, swapped)


@EACH
@pytest.mark.parametrize("mode", ["rxonly", "txonly"])
def test_rx_only_drops_by_name(name: str, mode: str) -> None:
    assert Table(mode).forward(0, PACKETS[name]) == (DROP, lib.TTF_DROP_RX_ONLY, PACKETS[name])


@EACH
def test_bridge_floods_then_knows(name: str) -> None:
    table = Table("bridge")
    data = PACKETS[name]
    answer = data[6:12] + mac(77) + data[12:]
    assert table.forward(1, data) == (FLOOD, 0, data)
    assert table.forward(2, answer) == (PORT, 1, answer)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", range(14))
def test_runts_are_dropped_by_name(mode: str, length: int) -> None:
    table = Table(mode)
    data = PACKETS["ipv4-udp"][:length]
    kind, value, after = table.forward(0, data)
    assert (kind, value) == (DROP, lib.TTF_DROP_RUNT)
    assert after == data


# ----------------------------------------------------------------------------------------------- bridge


def test_bridge_drops_what_is_there_already() -> None:
    table = Table("bridge")
    table.bridge(1, mac(1), mac(9))
    assert table.bridge(1, mac(2), mac(1)) == (DROP, lib.TTF_DROP_HAIRPIN)
    assert table.bridge(1, mac(1), mac(1)) == (DROP, lib.TTF_DROP_HAIRPIN)


def test_bridge_follows_a_station_that_moves() -> None:
    table = Table("bridge")
    table.bridge(1, mac(1), mac(9))
    assert table.bridge(5, mac(2), mac(1)) == (PORT, 1)
    table.bridge(3, mac(1), mac(9))
    assert table.bridge(5, mac(2), mac(1)) == (PORT, 3)


def test_bridge_forgets_what_is_silent() -> None:
    table = Table("bridge")
    begin = 10 * SECOND_NS
    table.bridge(1, mac(1), mac(9), begin)
    assert table.bridge(2, mac(2), mac(1), begin + AGEING_NS) == (PORT, 1)
    assert table.bridge(2, mac(2), mac(1), begin + AGEING_NS + 1) == (FLOOD, 0)
    table.bridge(4, mac(1), mac(9), begin + AGEING_NS + 2)
    assert table.bridge(2, mac(2), mac(1), begin + AGEING_NS + 2) == (PORT, 4)


def test_bridge_keeps_what_is_heard() -> None:
    table = Table("bridge")
    now = SECOND_NS
    for _ in range(10):
        table.bridge(1, mac(1), mac(9), now)
        now += AGEING_NS - SECOND_NS
        assert table.bridge(2, mac(2), mac(1), now) == (PORT, 1)


def test_bridge_survives_a_clock_that_is_a_tick_behind() -> None:
    """Workers read coarse clocks at different moments."""
    table = Table("bridge")
    table.bridge(1, mac(1), mac(9), 10 * SECOND_NS)
    assert table.bridge(2, mac(2), mac(1), 10 * SECOND_NS - 10_000_000) == (PORT, 1)


@pytest.mark.parametrize("destination", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"])
def test_groups_are_always_flooded(destination: str) -> None:
    table = Table("bridge")
    group = bytes.fromhex(destination.replace(":", ""))
    assert table.bridge(1, mac(1), group) == (FLOOD, 0)
    assert table.bridge(2, group, mac(9)) == (FLOOD, 0), "a group as a source"
    assert table.bridge(1, mac(1), group) == (FLOOD, 0), "is not learned"
    assert all(table.fdb.entries[b][way].key >> 16 & 1 == 0 for b, way in used_entries(table.fdb))


def test_the_zero_address_is_not_learned() -> None:
    table = Table("bridge")
    assert table.bridge(1, bytes(6), mac(9)) == (FLOOD, 0)
    assert table.bridge(2, mac(2), bytes(6)) == (FLOOD, 0)
    assert len(list(used_entries(table.fdb))) == 1


def used_entries(fdb: Any) -> Iterator[tuple[int, int]]:
    words = memoryview(ffi.buffer(fdb)).cast("B").cast("Q")
    for entry in range(lib.TTF_FDB_BUCKETS * lib.TTF_FDB_WAYS):
        if words[8 + 2 * entry]:
            yield divmod(entry, lib.TTF_FDB_WAYS)


def same_bucket(count: int) -> list[bytes]:
    """Addresses that fall into one bucket."""
    buckets: dict[int, list[bytes]] = {}
    fdb = ffi.new("struct ttf_fdb *")
    for n in range(1, 1 << 20):
        value = int.from_bytes(mac(n), "little")
        for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53), (33, 1)):
            value = (value ^ value >> shift) * factor % 2**64
        found = buckets.setdefault(value % lib.TTF_FDB_BUCKETS, [])
        found.append(mac(n))
        if len(found) == count:
            break
    for address in found:
        lib.ttf_fdb_learn(fdb, address, 1, SECOND_NS)
    assert len({bucket for bucket, _ in used_entries(fdb)}) == 1
    return found


def test_a_full_bucket_gives_its_oldest_entry_away() -> None:
    fdb = ffi.new("struct ttf_fdb *", {"ageing_ns": AGEING_NS})
    first, second, third, fourth, fifth = same_bucket(5)
    order = [third, first, fourth, second]
    for age, address in enumerate(order):
        lib.ttf_fdb_learn(fdb, address, 10 + age, (1 + age) * SECOND_NS)
    now = 10 * SECOND_NS
    assert [lib.ttf_fdb_lookup(fdb, address, now) for address in order] == [10, 11, 12, 13]
    lib.ttf_fdb_learn(fdb, third, 10, 5 * SECOND_NS)  # heard again: now `first` is the oldest
    lib.ttf_fdb_learn(fdb, fifth, 20, 6 * SECOND_NS)
    assert lib.ttf_fdb_lookup(fdb, fifth, now) == 20
    assert [lib.ttf_fdb_lookup(fdb, address, now) for address in order] == [10, -1, 12, 13]


def test_an_address_that_stands_twice_is_put_right() -> None:
    """Two workers may learn the same address at once."""
    fdb = ffi.new("struct ttf_fdb *", {"ageing_ns": AGEING_NS})
    lib.ttf_fdb_learn(fdb, mac(1), 1, SECOND_NS)
    [(bucket, way)] = used_entries(fdb)
    twin = fdb.entries[bucket][(way + 2) % 4]
    twin.key, twin.seen_ns = fdb.entries[bucket][way].key, SECOND_NS
    lib.ttf_fdb_learn(fdb, mac(1), 7, 2 * SECOND_NS)
    assert len(list(used_entries(fdb))) == 1
    assert lib.ttf_fdb_lookup(fdb, mac(1), 2 * SECOND_NS) == 7


def test_flush_forgets_one_port_only() -> None:
    fdb = ffi.new("struct ttf_fdb *", {"ageing_ns": AGEING_NS})
    for n in range(1, 3001):
        lib.ttf_fdb_learn(fdb, mac(n), n % 3, SECOND_NS)
    known = {n for n in range(1, 3001) if lib.ttf_fdb_lookup(fdb, mac(n), SECOND_NS) == n % 3}
    assert len(known) > 2900
    assert lib.ttf_fdb_flush(fdb, 1) == len({n for n in known if n % 3 == 1})
    assert {n for n in range(1, 3001) if lib.ttf_fdb_lookup(fdb, mac(n), SECOND_NS) != -1} == {
        n for n in known if n % 3 != 1
    }


@pytest.mark.parametrize("port", [64, 200, 255])
def test_a_port_that_cannot_be_is_never_found(port: int) -> None:
    """The table is shared memory. A bad entry must not become an index of a worker's ports."""
    fdb = ffi.new("struct ttf_fdb *", {"ageing_ns": AGEING_NS})
    lib.ttf_fdb_learn(fdb, mac(1), 3, SECOND_NS)
    [(bucket, way)] = used_entries(fdb)
    entry = fdb.entries[bucket][way]
    entry.key = entry.key & ~0xFF00 | port << 8
    assert lib.ttf_fdb_lookup(fdb, mac(1), SECOND_NS) == -1


# ------------------------------------------------------------------------------------------------- flows


def flow_hash(packet: Packet | bytes) -> int:
    data = bytes(packet)
    return int(lib.ttf_flow_hash(exact(data), len(data)))


V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).map(str)
PORTS = st.integers(0, 65535)
TRANSPORTS = st.sampled_from([TCP, UDP, SCTP])
TAGS = st.lists(st.sampled_from([Dot1Q, Dot1AD]), max_size=2)


def both_ways(
    tags: list[Any], a: str, b: str, middle: Packet | None, above: Any, p: int, q: int
) -> list[Packet]:
    """A packet and its reply."""
    packets = []
    for src, dst, sport, dport, macs in ((a, b, p, q, (A_MAC, B_MAC)), (b, a, q, p, (B_MAC, A_MAC))):
        packet = Ether(src=macs[0], dst=macs[1])
        for tag in tags:
            packet /= tag(vlan=5)
        packet /= IP(src=src, dst=dst) if ipaddress.ip_address(a).version == 4 else IPv6(src=src, dst=dst)
        if middle is not None:
            packet /= middle
        packets.append(packet / above(sport=sport, dport=dport))
    return packets


@given(tags=TAGS, ips=st.one_of(st.tuples(V4, V4), st.tuples(V6, V6)), above=TRANSPORTS, p=PORTS, q=PORTS)
def test_both_directions_have_one_hash(
    tags: list[Any], ips: tuple[str, str], above: Any, p: int, q: int
) -> None:
    there, back = both_ways(tags, *ips, None, above, p, q)
    assert flow_hash(there) == flow_hash(back)


@given(ips=st.one_of(st.tuples(V4, V4), st.tuples(V6, V6)), above=TRANSPORTS, p=PORTS, q=PORTS, other=PORTS)
def test_ports_tell_flows_apart(ips: tuple[str, str], above: Any, p: int, q: int, other: int) -> None:
    assume(other not in (p, q))
    one, _ = both_ways([], *ips, None, above, p, q)
    two, _ = both_ways([], *ips, None, above, other, q)
    assert flow_hash(one) != flow_hash(two)


@given(tags=TAGS, ips=st.tuples(V4, V4), p=PORTS, q=PORTS)
def test_tags_do_not_change_the_flow(tags: list[Any], ips: tuple[str, str], p: int, q: int) -> None:
    bare, _ = both_ways([], *ips, None, UDP, p, q)
    tagged, _ = both_ways(tags, *ips, None, UDP, p, q)
    assert flow_hash(bare) == flow_hash(tagged)


@given(ips=st.tuples(V6, V6), p=PORTS, q=PORTS)
def test_extension_headers_do_not_hide_the_ports(ips: tuple[str, str], p: int, q: int) -> None:
    bare, _ = both_ways([], *ips, None, UDP, p, q)
    middle = IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(addresses=["fd00::9"]) / IPv6ExtHdrDestOpt()
    extended, answer = both_ways([], *ips, middle, UDP, p, q)
    assert flow_hash(extended) == flow_hash(answer) == flow_hash(bare)


def test_authentication_header_does_not_hide_the_ports() -> None:
    assert flow_hash(PACKETS["ipv6-ah"]) == flow_hash(PACKETS["ipv6-udp"])


def test_options_do_not_hide_the_ports() -> None:
    packets = [
        ether() / IP(src="10.0.0.1", dst="10.0.0.2", options=[b"\x01"] * n) / UDP(sport=1, dport=2)
        for n in (0, 4, 8, 40)
    ]
    assert len({flow_hash(packet) for packet in packets}) == 1


@given(ips=st.tuples(V4, V4), p=PORTS, q=PORTS, offset=st.integers(1, 8191), more=st.booleans())
def test_fragments_of_ipv4_stay_together(
    ips: tuple[str, str], p: int, q: int, offset: int, more: bool
) -> None:
    src, dst = ips
    first = ether() / IP(src=src, dst=dst, flags="MF", proto=17) / UDP(sport=p, dport=q)
    later = ether() / IP(src=src, dst=dst, flags="MF" if more else 0, frag=offset, proto=17) / Raw(bytes(40))
    back = ether() / IP(src=dst, dst=src, flags="MF", proto=6) / TCP(sport=q, dport=p)
    assert flow_hash(first) == flow_hash(later) == flow_hash(back)


@given(ips=st.tuples(V6, V6), p=PORTS, q=PORTS, offset=st.integers(1, 8191))
def test_fragments_of_ipv6_stay_together(ips: tuple[str, str], p: int, q: int, offset: int) -> None:
    src, dst = ips
    first = ether() / IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(m=1, nh=17) / UDP(sport=p, dport=q)
    later = ether() / IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(offset=offset, nh=17) / Raw(bytes(40))
    back = ether() / IPv6(src=dst, dst=src) / IPv6ExtHdrFragment(m=1, nh=6) / TCP(sport=q, dport=p)
    assert flow_hash(first) == flow_hash(later) == flow_hash(back)


def test_dont_fragment_is_no_fragment() -> None:
    packets = [
        ether() / IP(src="10.0.0.1", dst="10.0.0.2", flags=flags) / UDP(sport=1, dport=2)
        for flags in ("", "DF")
    ]
    assert flow_hash(packets[0]) == flow_hash(packets[1])


@pytest.mark.parametrize("name", ["arp", "bare-header", "three-tags"])
def test_what_is_not_ip_goes_by_its_addresses(name: str) -> None:
    data = PACKETS[name]
    swapped = data[6:12] + data[:6] + data[12:]
    assert flow_hash(data) == flow_hash(swapped)
    assert flow_hash(data) == flow_hash(data + b"more")
    assert flow_hash(data) != flow_hash(data[:6] + mac(99) + data[12:])


def test_other_protocols_go_by_addresses_and_protocol() -> None:
    echo = ether() / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(type=8, id=1)
    reply = ether() / IP(src="10.0.0.2", dst="10.0.0.1") / ICMP(type=0, id=2)
    assert flow_hash(echo) == flow_hash(reply)
    assert flow_hash(echo) != flow_hash(
        ether() / IP(src="10.0.0.1", dst="10.0.0.2", proto=47) / Raw(b"x" * 8)
    )


@EACH
def test_truncated_packets_are_read_within_bounds(name: str) -> None:
    """A sanitizer finds reads past the end. Without one: equal bytes of any length have equal hashes."""
    data = PACKETS[name]
    for length in range(min(len(data), 200) + 1):
        cut = data[:length]
        assert flow_hash(cut) == int(lib.ttf_flow_hash(exact(cut), length))
        if length >= 14:
            lib.eth_oversize(exact(cut), length, 0)


@settings(max_examples=200)  # the sanitized run has fewer of the other tests' examples
@given(head=st.sampled_from(sorted(PACKETS)), at=st.integers(12, 80), noise=st.binary(max_size=64))
def test_nonsense_is_read_within_bounds(head: str, at: int, noise: bytes) -> None:
    data = PACKETS[head][:at] + noise
    flow_hash(data)
    Table("macswap").forward(0, data)
    lib.eth_oversize(exact(data), len(data), 0)


def test_flows_are_spread_evenly() -> None:
    counts = [0] * 4
    for n in range(4000):
        packet = bytearray(PACKETS["ipv4-udp"])
        packet[34:36] = (1024 + n).to_bytes(2, "big")
        counts[(flow_hash(bytes(packet)) >> 16) % 4] += 1
    assert min(counts) > 800


# --------------------------------------------------------------------------------------------------- MTU


@pytest.mark.parametrize("mtu", [68, 1500, 9000])
def test_the_mtu_counts_neither_header_nor_tags(mtu: int) -> None:
    heads = [
        ether(type=0x88B5),
        ether() / Dot1Q(type=0x88B5),
        ether() / Dot1AD() / Dot1Q(type=0x88B5),
    ]
    for head in heads:
        fits = bytes(head / Raw(bytes(mtu)))
        assert not lib.eth_oversize(exact(fits), len(fits), mtu)
        assert lib.eth_oversize(exact(fits + b"x"), len(fits) + 1, mtu)
    third = bytes(ether() / Dot1Q() / Dot1Q() / Dot1Q(type=0x88B5) / Raw(bytes(mtu)))
    assert lib.eth_oversize(exact(third), len(third), mtu), "a third tag counts as payload"


# ----------------------------------------------------------------------------------------------- offload


def complete(data: bytes, header: bytes) -> tuple[int, bytes, bytes]:
    """The answer of parsing. If that is 0: also the completed frame and its offload header."""
    buffer, request = exact(header + data), ffi.new("struct offload_request *")
    result = lib.ttf_vnet_hdr_parse(buffer + VNET_HDR_BYTES, len(data), request)
    if result == 0:
        lib.ttf_vnet_hdr_complete(request, buffer + VNET_HDR_BYTES, len(data))
    after = bytes(ffi.buffer(buffer))
    return result, after[VNET_HDR_BYTES:], after[:VNET_HDR_BYTES]


@given(
    ips=st.one_of(st.tuples(V4, V4), st.tuples(V6, V6)),
    above=st.sampled_from([TCP, UDP]),
    p=PORTS,
    q=PORTS,
    tags=TAGS,
    payload=st.binary(max_size=200),
)
def test_checksums_are_scapys(
    ips: tuple[str, str], above: Any, p: int, q: int, tags: list[Any], payload: bytes
) -> None:
    packet, _ = both_ways(tags, *ips, None, above, p, q)
    undone, header, done = left_to_the_device(packet / Raw(payload) if payload else packet)
    assert complete(undone, header) == (0, done, bytes(VNET_HDR_BYTES))


def test_a_sum_of_zero_is_sent_as_all_ones() -> None:
    """In UDP, 0 means "no checksum", so 0xffff is sent instead. scapy does the same."""
    for n in range(65536):
        body = n.to_bytes(2, "big")
        total = 17 + 10 + 10 + 0x0A00 * 2 + 1 + 2 + 1 + 2 + n
        total = (total & 0xFFFF) + (total >> 16)
        if total == 0xFFFF:
            break
    packet = ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(body)
    undone, header, done = left_to_the_device(packet)
    result, after, _ = complete(undone, header)
    assert result == 0
    assert after == done
    assert after[40:42] == b"\xff\xff"


def test_nothing_to_do_changes_nothing() -> None:
    data = PACKETS["ipv4-tcp"]
    assert complete(data, bytes(VNET_HDR_BYTES)) == (0, data, bytes(VNET_HDR_BYTES))
    valid = vnet_header(flags=2, start=34, offset=16)  # VIRTIO_NET_HDR_F_DATA_VALID
    assert complete(data, valid)[:2] == (0, data)


@pytest.mark.parametrize(
    ("start", "offset"),
    [(60, 0), (61, 0), (65535, 0), (65535, 65535), (34, 25), (34, 26), (0, 59), (34, 65535), (59, 0)],
)
def test_bounds_that_lie_are_refused(start: int, offset: int) -> None:
    data = PACKETS["ipv4-tcp"].ljust(60, b"\0")[:60]
    header = vnet_header(flags=1, start=start, offset=offset)
    assert complete(data, header) == (-1, data, header)


def test_the_last_two_bytes_can_be_the_field() -> None:
    data = PACKETS["ipv4-tcp"].ljust(60, b"\0")[:60]
    result, after, _ = complete(data, vnet_header(flags=1, start=34, offset=24))
    assert result == 0
    assert after[:58] == data[:58]


@pytest.mark.parametrize("gso_type", [1, 3, 4, 5, 0x81])
@pytest.mark.parametrize("flags", [0, 1])
def test_a_segment_to_be_cut_is_refused(gso_type: int, flags: int) -> None:
    data = PACKETS["jumbo"]
    header = vnet_header(flags=flags, gso_type=gso_type, gso_size=1448, start=34, offset=16)
    assert complete(data, header) == (-1, data, header)
