# SPDX-License-Identifier: Apache-2.0
"""Where clang or libbpf is missing, ttfwd is built without its tester, and says so when it matters."""

from __future__ import annotations

import sys

import pytest

from forwarder.errors import TtfwdError
from forwarder.tester import native
from native import build_bpf, build_tester


@pytest.fixture
def without_clang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TTFWD_TESTER", raising=False)
    monkeypatch.setattr(build_bpf, "clang", lambda: None)
    monkeypatch.setattr(build_tester, "_has_libbpf", lambda: True)


@pytest.mark.usefixtures("without_clang")
def test_what_is_missing_is_noted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_tester.modules() == []
    assert capsys.readouterr().err.startswith("notice: without clang: ttfwd is built without its tester")
    monkeypatch.setattr(build_tester, "_has_libbpf", lambda: False)
    assert build_tester.modules() == []
    assert "without clang and libbpf-dev (>= 1.0)" in capsys.readouterr().err


@pytest.mark.usefixtures("without_clang")
def test_what_is_missing_is_an_error_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTFWD_TESTER", "require")
    with pytest.raises(SystemExit, match="TTFWD_TESTER=require, and without clang"):
        build_tester.modules()


def test_it_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTFWD_TESTER", "omit")
    assert build_tester.modules() == []
    monkeypatch.setenv("TTFWD_TESTER", "yes")
    with pytest.raises(SystemExit, match='TTFWD_TESTER is "yes": neither'):
        build_tester.modules()


def test_without_it_an_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "forwarder._tester", None)
    native.load.cache_clear()
    try:
        with pytest.raises(TtfwdError, match=r"built without its tester: .*apt-get install clang libbpf-dev"):
            native.load()
    finally:
        native.load.cache_clear()
