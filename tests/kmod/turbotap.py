# SPDX-License-Identifier: Apache-2.0
"""python -m tests.kmod.turbotap: every test of ttfwd over turbotap, in a guest. Takes some 20 minutes.

.ci/run has a few of them. The others prove for turbotap what they prove for other drivers elsewhere.
Exit status 1 if one failed or was skipped, or if the kernel reported a fault.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.kmod.guests import OF_TTFWD, Parts, boot


def main() -> int:
    guest = replace(OF_TTFWD, markers="")
    with tempfile.TemporaryDirectory(prefix="ttfwd-guests-") as folder:
        try:
            ran = boot(guest, Parts(Path(folder), Path(folder)).command(guest), Path(folder, "results"))
            print(ran.result.output)
            ran.result.check()
            return 1 if ran.failures(guest) else 0
        except AssertionError as error:
            print(error, file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
