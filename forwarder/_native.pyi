# SPDX-License-Identifier: Apache-2.0
# cffi's module: its contents follow native/*.h, which the C compiler checks.
from typing import Any

ffi: Any
lib: Any
