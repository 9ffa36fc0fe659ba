# SPDX-License-Identifier: Apache-2.0
"""`make soak`: hours in minutes. Kills workers under load, then lets ports come and go, and measures both.

Needs root. Exit codes: 0 all is well, 1 something was left behind, lost or grew, 2 usage.
"""

from __future__ import annotations

import argparse
import sys

from tests.process.topology import Pair
from tests.soak import growth, kills
from tests.support.netns import namespace


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak ARGS=...", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="workers to kill (0: none)")
    parser.add_argument("--queues", type=int, default=4, help="of the instance whose workers are killed")
    parser.add_argument("--pause", type=float, default=0.5, metavar="S", help="between two kills, on average")
    parser.add_argument("--rate", type=int, default=2000, metavar="PPS", help="packets per second meanwhile")
    parser.add_argument("--minutes", type=float, default=10, help="of looking for growth (0: none)")
    parser.add_argument("--driver", default="tap", help="of the ports")
    wanted = parser.parse_args()
    good = True
    with namespace() as left, namespace() as right:
        pair = Pair(left, right, wanted.driver)
        if wanted.kills:
            outcome = kills.run(
                pair,
                wanted.kills,
                wanted.queues,
                wanted.pause,
                wanted.rate,
                tell=lambda done: print(f"  {done} kills", flush=True),
            )
            print(*outcome.lines(), sep="\n", flush=True)
        if wanted.minutes:
            found = growth.run(pair, wanted.minutes * 60, tell=lambda use: print(f"  {use}", flush=True))
            print(*found.lines(), sep="\n", flush=True)
            good = not found.problems()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
