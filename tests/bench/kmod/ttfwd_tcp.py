# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench.kmod.ttfwd_tcp ROUNDS`: TCP and pings through ttfwd, and through a Linux bridge.

Runs in a guest, started by guest.py, which reads what it prints: a line of JSON for each stream.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from tests.bench import tcp
from tests.bench.kmod.plan import TCP_BRIDGE, TCP_UNBATCHED, TCP_WAYS
from tests.bench.programs import ProgramError

_CPU = 0
_PINGS = 50


def _variant(way: str) -> tcp.Variant:
    driver, _, io = way.partition(",")[0].partition("/")
    return tcp.Variant(way, driver, io=io, policy=os.SCHED_OTHER if way == TCP_UNBATCHED else None)


def main() -> int:
    variants: list[tcp.Variant | tcp.Bridge] = [*map(_variant, TCP_WAYS), tcp.Bridge(TCP_BRIDGE)]
    try:
        for stream in tcp.measure(variants, int(sys.argv[1]), _CPU, lambda _: None, _PINGS):
            print(json.dumps(asdict(stream)))
    except ProgramError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
