# SPDX-License-Identifier: Apache-2.0
"""The datapath for tests: `ffi` and `lib` of an extension that exposes everything declared in native/*.h.

Importing this compiles native/ beside these tests, with the options of the installed extension. Unchanged
files are not compiled again. Neither extension accepts the other's structs.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

from tests.native import programs

NAME = "_ttfwd_test"


def built() -> ModuleType:
    programs.compiler()
    folder = programs.ROOT / "build" / "tests" / (os.environ.get("TTFWD_SANITIZE") or "plain")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other test runs may build at the same time
        command = [sys.executable, "tests/native/build_ext.py", str(folder)]
        done = programs.run(command, PYTHONPATH=str(programs.ROOT))
        assert done.returncode == 0, done.stdout + done.stderr
        (path,) = folder.glob(f"{NAME}.*")
        spec = importlib.util.spec_from_file_location(NAME, path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


_module = built()
ffi: Any = _module.ffi
lib: Any = _module.lib
