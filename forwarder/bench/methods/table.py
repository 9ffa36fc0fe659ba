# SPDX-License-Identifier: Apache-2.0
"""What each test does with a bench: the one list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from forwarder.bench.context import Bench
from forwarder.bench.dut import Dut
from forwarder.bench.goals import goals
from forwarder.bench.instance_dut import InstanceDut
from forwarder.bench.methods.burst import burst
from forwarder.bench.methods.latency import latency
from forwarder.bench.methods.loss import loss
from forwarder.bench.methods.mrr import mrr
from forwarder.bench.methods.reconf import reconf
from forwarder.bench.methods.reset import reset
from forwarder.bench.methods.soak import soak
from forwarder.bench.methods.throughput import throughput
from forwarder.bench.repeats import repeat
from forwarder.bench.request import Request
from forwarder.bench.search import search
from forwarder.errors import UsageError
from forwarder.results.model import Test

Method = Callable[[Bench, Request, Dut], None]


def _selftest(bench: Bench, request: Request, dut: Dut) -> None:
    """It came before this."""


def _mrr(bench: Bench, request: Request, dut: Dut) -> None:
    repeat(bench, request.starts, lambda each: mrr(each, request.profile.mrr))


def _ndrpdr(bench: Bench, request: Request, dut: Dut) -> None:
    profile = request.profile
    wanted = goals(",".join(profile.goals))
    repeat(bench, request.starts, lambda each: search(each, wanted, max_time_s=profile.max_time_s))


def _latency(bench: Bench, request: Request, dut: Dut) -> None:
    profile = request.profile
    base = "pdr" if profile.rate_per_s is None else "rate"
    latency(bench, profile.latency, throughput(bench, profile, "pdr"), base)


def _quick(bench: Bench, request: Request, dut: Dut) -> None:
    """The searches, and latency at half of what they found. A DUT that forwards nothing has no latency."""
    _ndrpdr(bench, request, dut)
    found = bench.parts.lower_per_s(lossless=False)
    if found is not None:
        latency(bench, request.profile.latency, found, "pdr")


def _loss(bench: Bench, request: Request, dut: Dut) -> None:
    loss(bench, request.profile.loss)


def _burst(bench: Bench, request: Request, dut: Dut) -> None:
    burst(bench, request.profile.burst, throughput(bench, request.profile, "ndr"))


def _soak(bench: Bench, request: Request, dut: Dut) -> None:
    soak(bench, request.profile.soak, throughput(bench, request.profile, "ndr"))


def _reset(bench: Bench, request: Request, dut: Dut) -> None:
    reset(bench, _instance(dut), request.profile.reset, throughput(bench, request.profile, "ndr"))


def _reconf(bench: Bench, request: Request, dut: Dut) -> None:
    reconf(bench, _instance(dut), request.profile.reconf, throughput(bench, request.profile, "ndr"))


def _instance(dut: Dut) -> InstanceDut:
    if not isinstance(dut, InstanceDut):
        raise UsageError("only an instance of ttfwd has such an event")
    return dut


METHODS: Mapping[Test, Method] = MappingProxyType(
    {
        "selftest": _selftest,
        "quick": _quick,
        "mrr": _mrr,
        "ndrpdr": _ndrpdr,
        "latency": _latency,
        "loss": _loss,
        "burst": _burst,
        "soak": _soak,
        "reset": _reset,
        "reconf": _reconf,
    }
)


def searches(request: Request) -> bool:
    """Whether it looks for a throughput."""
    if request.test in ("selftest", "mrr", "loss"):
        return False
    return request.test in ("quick", "ndrpdr") or request.profile.rate_per_s is None
