# SPDX-License-Identifier: Apache-2.0
"""Script that runs `ttfwd` as another user. It imports first, as that user may not read the modules."""

from __future__ import annotations

import encodings.ascii
import encodings.utf_8_sig
import importlib
import os
import pkgutil
import sys

import forwarder
from forwarder.cli.commands import main

NOBODY = 65534


def import_everything() -> None:
    """Commands import what they need when they run, which would be too late here."""
    for module in pkgutil.walk_packages(forwarder.__path__, "forwarder."):
        if module.name != "forwarder.__main__":
            importlib.import_module(module.name)
    importlib.import_module("MLRsearch")  # a search imports it


if __name__ == "__main__":
    import_everything()
    del encodings  # imported early, not used here
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    main(sys.argv[1:], prog_name="ttfwd")
