# SPDX-License-Identifier: Apache-2.0
"""Filters in the language of libpcap, compiled and run by libpcap."""

from __future__ import annotations

from typing import Any

from cffi import FFI

from forwarder.capture.record import Record
from forwarder.errors import TtfwdError, UsageError
from forwarder.native import lib as native

_LIBRARY = "libpcap.so.0.8"
_ETHERNET = 1  # DLT_EN10MB
_NETMASK_UNKNOWN = 0xFFFFFFFF

_ffi: Any = FFI()
_ffi.cdef(
    """
    typedef struct pcap pcap_t;
    struct bpf_program { unsigned int bf_len; void *bf_insns; };
    struct pcap_pkthdr { long tv_sec; long tv_usec; uint32_t caplen; uint32_t len; };
    pcap_t *pcap_open_dead(int linktype, int snaplen);
    int pcap_compile(pcap_t *p, struct bpf_program *fp, const char *str, int optimize, uint32_t netmask);
    char *pcap_geterr(pcap_t *p);
    int pcap_offline_filter(const struct bpf_program *fp, const struct pcap_pkthdr *h, const uint8_t *pkt);
    """
)


class Filter:
    """One expression; it lasts as long as the process."""

    def __init__(self, expression: str) -> None:
        """Raises UsageError: libpcap doesn't understand it; TtfwdError: there is no libpcap."""
        self.expression = expression
        try:
            self._lib = _ffi.dlopen(_LIBRARY)
        except OSError:
            raise TtfwdError(f"--filter: {_LIBRARY} isn't there (Debian package libpcap0.8)") from None
        self._program = _ffi.new("struct bpf_program *")
        self._head = _ffi.new("struct pcap_pkthdr *")
        dead = self._lib.pcap_open_dead(_ETHERNET, native.TTF_FRAME_MAX_BYTES)
        try:
            text = expression.encode()
        except UnicodeEncodeError:
            raise UsageError(f"--filter: {expression!r}: not text") from None
        if self._lib.pcap_compile(dead, self._program, text, 1, _NETMASK_UNKNOWN) < 0:
            why = _ffi.string(self._lib.pcap_geterr(dead)).decode(errors="replace")
            raise UsageError(f'--filter: "{expression}": {why}')

    def passes(self, record: Record) -> bool:
        self._head.caplen = len(record.kept)
        self._head.len = record.length
        return bool(self._lib.pcap_offline_filter(self._program, self._head, record.kept))
