# SPDX-License-Identifier: Apache-2.0
"""Enters the network namespace that has a name now."""

from collections.abc import Iterator
from contextlib import contextmanager

from forwarder.devices.place import Place


@contextmanager
def inside(name: str | None) -> Iterator[None]:
    """Run the body with this thread in the namespace of that name. Raises DeviceError, NotPermitted."""
    with Place.named(name).inside():
        yield
