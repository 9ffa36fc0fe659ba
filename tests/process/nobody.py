# SPDX-License-Identifier: Apache-2.0
"""Script that runs `ttfwd` as another user. It imports first, as that user may not read the modules."""

from __future__ import annotations

import encodings.utf_8_sig
import os
import sys

import forwarder.cli.start
import forwarder.stats.live
import forwarder.stats.tables
import forwarder.stats.to_json
from forwarder.cli.commands import main

NOBODY = 65534

if __name__ == "__main__":
    del encodings, forwarder  # imported early, not used here
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    main(sys.argv[1:], prog_name="ttfwd")
