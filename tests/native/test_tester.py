# SPDX-License-Identifier: Apache-2.0
"""The tester's C: histograms against their samples, flows, checksums, and the bitmap of numbers."""

from __future__ import annotations

import random
from array import array
from itertools import pairwise

import pytest

from forwarder.tester import histogram
from forwarder.tester.histogram import BUCKETS, MAX_LOG2, Counts, distribution, highest_ns
from forwarder.tester.native import load
from tests.native.ext import ffi, lib
from tests.support.capabilities import require_tester

LONGEST_NS = 2**MAX_LOG2 - 1


def filled(samples: list[int]) -> Counts:
    made = ffi.new("struct ttf_histogram *")
    for sample in samples:
        lib.histogram_add(made, sample)
    assert made.samples == len(samples)
    return Counts(list(made.buckets), made.sum_ns, 2**64 - 1 - made.least_ns, made.max_ns)


def test_python_and_c_agree() -> None:
    assert lib.TTF_HISTOGRAM_BUCKETS == BUCKETS
    assert (lib.TTF_HISTOGRAM_STEPS_LOG2, lib.TTF_HISTOGRAM_MAX_LOG2) == (histogram.STEPS_LOG2, MAX_LOG2)


def test_buckets_follow_one_another_and_are_narrow() -> None:
    """Each value is in the bucket whose highest value is the least that isn't below it."""
    edges = [highest_ns(bucket) for bucket in range(BUCKETS)]
    assert edges[:512] == list(range(512))
    assert edges[-1] == LONGEST_NS
    for lower, upper in pairwise(edges):
        assert 0 < upper - lower <= max(1, upper / 256)
    for bucket, highest in enumerate(edges):
        assert lib.histogram_bucket(highest) == bucket
        assert lib.histogram_bucket(highest + 1) == min(bucket + 1, BUCKETS - 1)


def test_a_distribution_is_that_of_its_samples() -> None:
    chance = random.Random(5)
    samples = sorted(int(2 ** chance.uniform(0, 36.5)) for _ in range(20_000))
    found = distribution([filled(samples[::2]), filled(samples[1::2]), filled([])])
    assert (found.samples, found.min_ns, found.max_ns) == (20_000, samples[0], samples[-1])
    assert found.mean_ns == pytest.approx(sum(samples) / 20_000)
    assert sum(count for _, count in found.buckets) == 20_000
    for value, quantile in ((found.p50_ns, 0.5), (found.p90_ns, 0.9), (found.p99_ns, 0.99)):
        exact = samples[round(quantile * 20_000) - 1]
        assert value is not None
        assert min(exact, LONGEST_NS) <= value <= exact * (1 + 1 / 256)
    assert (found.p999_ns, found.p9999_ns) == (None, None), "20 samples above don't tell it"


def test_nothing_is_no_distribution() -> None:
    assert distribution([]).samples == distribution([filled([])]).samples == 0
    assert distribution([filled([])]).p50_ns is None


def test_one_sample_is_exact() -> None:
    found = distribution([filled([123_456_789])])
    assert found.min_ns == found.max_ns == found.mean_ns == 123_456_789
    assert found.p50_ns is None, "one sample is no median"


@pytest.mark.parametrize("length", [0, 4, 60, 1500])
def test_a_checksum_is_that_of_rfc_1071(length: int) -> None:
    """A frame whose words add up to ones with its checksum is right."""
    words = array("I", random.Random(length).randbytes(length))
    checksum = lib.frame_checksum(sum(words))
    total = sum(array("H", words.tobytes())) + checksum
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_no_udp_checksum_is_zero() -> None:
    assert lib.frame_checksum(0xFFFF) == 0
    assert lib.frame_udp_checksum(0xFFFF) == 0xFFFF


@pytest.mark.parametrize(
    ("first", "end"), [(0, 0), (0, 64), (3, 5), (60, 70), (63, 192), (2**27 - 70, 2**27 + 70)]
)
def test_the_bitmap_is_counted_and_cleared_from_bit_to_bit(first: int, end: int) -> None:
    require_tester()
    native = load()
    size = native.lib.TTF_WINDOW_WORDS
    words = array("Q", bytes(8 * size))
    at = range(max(0, first - 200), end + 200)
    chance = random.Random(first)
    marked = {number for number in at if chance.random() < 0.5}
    for number in marked:
        words[(number >> 6) % size] |= 1 << (number & 63)
    within = {number for number in marked if first <= number < end}
    memory = native.ffi.cast("void *", native.ffi.from_buffer(words))
    assert native.lib.ttf_window_take(memory, first, end) == len(within)
    left = {number for number in at if words[(number >> 6) % size] >> (number & 63) & 1}
    assert left == marked - within
