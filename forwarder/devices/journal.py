# SPDX-License-Identifier: Apache-2.0
"""The journal of an instance: what it made or changed that the kernel doesn't undo when the supervisor dies.

An entry is written before its thing is made, and removed after the thing is gone. Where an entry can't be
written, nothing is made: add() raises. An entry that can't be removed stops nothing. It does no harm, because
its thing is told by its identity.
"""

import errno
import logging
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from forwarder import rundir
from forwarder.devices.place import Identity
from forwarder.errors import TtfwdError

_LONGEST_BYTES = 1 << 20

log = logging.getLogger("ttfwd")


class MadeNamespace(BaseModel, frozen=True, extra="forbid", strict=True):
    """A network namespace that we made and named."""

    kind: Literal["namespace"] = "namespace"
    name: str
    identity: Identity

    @property
    def remedy(self) -> str:
        """The command by which its user removes it."""
        return f"ip netns delete {self.name}"

    def __str__(self) -> str:
        return f'network namespace "{self.name}"'


class ChangedDevice(BaseModel, frozen=True, extra="forbid", strict=True):
    """A device of somebody else's, and what we changed on it. A pair is a property before, and since."""

    kind: Literal["device"] = "device"
    name: str
    netns: str | None
    identity: Identity  # of its namespace
    ifindex: int
    mac: tuple[str, str]
    mtu: tuple[int, int]
    raised: bool  # its link was down
    addresses: tuple[str, ...] = ()  # that it didn't have

    def __str__(self) -> str:
        where = f' in network namespace "{self.netns}"' if self.netns else ""
        return f'device "{self.name}"{where}'


Entry = MadeNamespace | ChangedDevice
_ENTRIES: TypeAdapter[tuple[Entry, ...]] = TypeAdapter(
    tuple[Annotated[Entry, Field(discriminator="kind")], ...]
)


class DamagedJournal(TtfwdError):
    """There is a journal, and what it says can't be known."""


def read(instance: str) -> tuple[Entry, ...]:
    """What the journal says, nothing if there is none. Raises DamagedJournal."""
    path = rundir.journal_path(instance)
    try:
        return _ENTRIES.validate_json(_content(path))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DamagedJournal(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise DamagedJournal(f"{path}: {error.errors()[0]['msg']}") from None


def _content(path: Path) -> bytes:
    """Raises OSError, also for a file that we can't have written."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if status.st_uid not in (0, os.geteuid()):
            raise OSError(errno.EPERM, f"it belongs to user {status.st_uid}")
        return file.read(_LONGEST_BYTES)


class Journal:
    """The journal of the instance whose lock this process holds."""

    def __init__(self, instance: str) -> None:
        """Takes over what earlier starts left. A damaged journal is set aside, and an error in the log."""
        self._path = rundir.journal_path(instance)
        self._kept: dict[Entry, str | None] = {}
        self._entries: list[Entry] = []
        try:
            self._entries += read(instance)
        except DamagedJournal as error:
            log.error(
                "the journal is damaged, so nobody knows whether an earlier start left network namespaces or "
                "changed devices (see `ip netns list`, `ip link`): %s",
                error,
            )
            with suppress(OSError):
                self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def namespace(self, identity: Identity) -> MadeNamespace | None:
        """The entry of a namespace, if we made it."""
        made = (entry for entry in self._entries if isinstance(entry, MadeNamespace))
        return next((entry for entry in made if entry.identity == identity), None)

    def add(self, entry: Entry) -> None:
        """Call before the thing is made. Raises TtfwdError when it can't be written, so mustn't be made."""
        self._entries.append(entry)
        try:
            self._write()
        except OSError as error:
            self._entries.remove(entry)
            raise TtfwdError(f"{self._path}: {error.strerror}; {entry} is left as it is") from None

    def remove(self, entry: Entry) -> None:
        """Call when the thing is gone, or isn't ours any more."""
        self._entries.remove(entry)
        try:
            self._write()
        except OSError as error:
            log.warning("%s: %s; it keeps an entry too many for now", self._path, error.strerror)

    def keep(self, entry: Entry, users: str | None) -> None:
        """Whose thing stays because others use it, in words; None: nobody does.

        The next start of the instance looks again.
        """
        self._kept[entry] = users

    def users(self, entry: Entry) -> str | None:
        """Because of whom its thing stays, as far as is known."""
        return self._kept.get(entry)

    @property
    def left(self) -> tuple[Entry, ...]:
        """The entries of what should have been undone by the end, and wasn't."""
        return tuple(entry for entry in self._entries if self.users(entry) is None)

    def close(self) -> None:
        """At the end. Raises OSError; the file then says more than there is."""
        self._write()

    def _write(self) -> None:
        """All or nothing. Without fsync(): after a crash of the machine nothing of it exists any more."""
        if not self._entries:
            self._path.unlink(missing_ok=True)  # also where there is no room to write
            return
        scratch = self._path.with_name(f"{self._path.name}~")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(scratch, flags, 0o600), "wb") as file:
                file.write(_ENTRIES.dump_json(self.entries))
            scratch.replace(self._path)
        except OSError:
            with suppress(OSError):
                scratch.unlink()
            raise
