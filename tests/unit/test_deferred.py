# SPDX-License-Identifier: Apache-2.0
"""Signals that wait for what must be done whole: none is lost, and none comes before its time."""

from __future__ import annotations

import signal
import threading

import pytest

from forwarder.deferred import signals_deferred


def test_an_interruption_comes_after_the_body() -> None:
    done = []

    def body() -> None:
        with signals_deferred():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        body()
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_deferred():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_of_the_body_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="mine"), signals_deferred():
        raise ValueError("mine")


def test_other_threads_may_use_it() -> None:
    failed = []

    def run() -> None:
        try:
            with signals_deferred():
                pass
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []
