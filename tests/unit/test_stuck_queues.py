# SPDX-License-Identifier: Apache-2.0
"""Stuck queues are renewed one after the other, however often a worker asks for it."""

from __future__ import annotations

from forwarder.supervisor.stuck_queues import RENEW_EVERY_NS, StuckQueues


def test_a_queue_is_renewed_once_for_each_report() -> None:
    stuck = StuckQueues()
    stuck.add(0, 5)
    stuck.add(0, 5)
    assert list(stuck.due(0)) == [(0, 5)]
    assert list(stuck.due(10 * RENEW_EVERY_NS)) == []


def test_a_worker_that_reports_without_end_gets_one_renewal_at_a_time_and_holds_up_no_other() -> None:
    stuck = StuckQueues()
    for port_id in (1, 2, 3):
        stuck.add(7, port_id)
    stuck.add(8, 1)
    assert list(stuck.due(0)) == [(7, 1), (8, 1)]
    stuck.add(7, 1)
    assert list(stuck.due(RENEW_EVERY_NS - 1)) == []
    assert list(stuck.due(RENEW_EVERY_NS)) == [(7, 2)]
    assert list(stuck.due(2 * RENEW_EVERY_NS)) == [(7, 3)]
    assert list(stuck.due(3 * RENEW_EVERY_NS)) == [(7, 1)]
