# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench.kmod.ttfwd_tcp ROUNDS`: TCP through ttfwd with the module, and without.

Runs in a guest, started by guest.py, which reads what it prints: a line of JSON for each stream.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from tests.bench import tcp
from tests.bench.kmod.plan import TCP_WAYS
from tests.bench.programs import ProgramError

_CPU = 0


def main() -> int:
    variants = [tcp.Variant(way, driver, io=io) for way in TCP_WAYS for driver, _, io in [way.partition("/")]]
    try:
        for stream in tcp.measure(variants, int(sys.argv[1]), _CPU, lambda _: None):
            print(json.dumps(asdict(stream)))
    except ProgramError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
