# SPDX-License-Identifier: Apache-2.0
"""A stored result: result.json and the trials beside it, read and checked.

Guarantees that any file gives either a StoredResult or a ResultError that names the file and the place in it.
bench writes a trial's line when the trial has ended. So after a crash the last line may be cut: the trials
before it are good, and a remark says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from forwarder.config.messages import key_path
from forwarder.config.model import shown
from forwarder.errors import ResultError
from forwarder.results.model import SCHEMA_VERSION, Result, Trial

RESULT_FILE = "result.json"
MAX_BYTES = 64 << 20  # of result.json, and of one line of the trials: keeps /dev/zero out of memory
_MOST_PROBLEMS = 10  # of a file that are listed

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result, where it lies, its trials in their order, and what its files lack."""

    path: Path  # of result.json
    result: Result
    trials: tuple[Trial, ...]
    remarks: tuple[str, ...] = ()


class _Header(BaseModel):
    """What every version of the file has."""

    model_config = ConfigDict(extra="ignore")
    schema_version: int
    kind: str
    ttfwd_version: str = "another version"


def load(path: Path) -> StoredResult:
    """The result in a directory, or in a file. Raises ResultError."""
    if path.is_dir():
        if not (path / RESULT_FILE).exists() and (path / Result.model_fields["trials"].default).exists():
            raise ResultError(f"{path}: has trials and no {RESULT_FILE}: bench ended before it had a result")
        path /= RESULT_FILE
    result = load_result(path)
    trials, remarks = _load_trials(path, result)
    return StoredResult(path, result, trials, remarks)


def load_result(path: Path) -> Result:
    """What result.json holds, without the trials. Raises ResultError."""
    data = read(path)
    _check_version(path, data)
    result = parse(Result, data, str(path))
    for key in ("started", "ended"):
        _check_time(getattr(result, key), f"{path}: {key}")
    return result


def read(path: Path) -> bytes:
    """A file of a size that a result has. Raises ResultError."""
    with _opened(path) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ResultError(f"{path}: larger than {MAX_BYTES >> 20} MiB: not a result")
    return data


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading. Raises ResultError, also for what goes wrong while it is read."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise ResultError(
            f"{path}: no such file; RESULT is a directory that bench wrote, or its {RESULT_FILE}"
        ) from None
    except OSError as error:
        raise ResultError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the path
        raise ResultError(f"{path}: can't be read: {error}") from None


def _check_version(path: Path, data: bytes) -> None:
    """Raises ResultError for what isn't a result, or is one of another version."""
    try:
        header = _Header.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise ResultError(f"{path}: not JSON: {_lower(first['ctx']['error'])}") from None
        raise ResultError(f"{path}: not a result of ttfwd bench: no schema_version and kind") from None
    if header.kind != "bench":
        raise ResultError(f"{path}: not a result of ttfwd bench: its kind is {shown(header.kind)}")
    if header.schema_version != SCHEMA_VERSION:
        raise ResultError(
            f"{path}: schema_version {header.schema_version}, of ttfwd {header.ttfwd_version}; "
            f"this ttfwd reads {SCHEMA_VERSION}"
        )


def _load_trials(path: Path, result: Result) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    """The trials, and remarks on what is missing. Raises ResultError."""
    name = result.trials
    if PurePath(name).name != name:
        raise ResultError(f"{path}: trials: {shown(name)} is not the name of a file beside it")
    journal = path.with_name(name)
    if not journal.exists():
        return (), (f"{journal} is missing: single trials can't be shown",)
    trials: list[Trial] = []
    with _opened(journal) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_BYTES), b""), 1):
            if len(line) >= MAX_BYTES:
                raise ResultError(
                    f"{journal}: line {number} is larger than {MAX_BYTES >> 20} MiB: not a trial"
                )
            if not line.endswith(b"\n"):
                return tuple(trials), (
                    f"{journal}: line {number}, the last one, is cut: that trial is left out",
                )
            trial = parse(Trial, line, f"{journal}: line {number}")
            _check_time(trial.started, f"{journal}: line {number}: started")
            trials.append(trial)
    return tuple(trials), ()


def parse(model: type[_Model], data: bytes, where: str) -> _Model:
    """A JSON document as the model has it. Raises ResultError with the place of each fault."""
    try:
        return model.model_validate_json(data, strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    lines = [f"{where}: {key_path(detail['loc'])}: {_problem(detail)}" for detail in details[:_MOST_PROBLEMS]]
    if len(details) > _MOST_PROBLEMS:
        lines.append(f"{where}: and {len(details) - _MOST_PROBLEMS} more")
    raise ResultError("\n".join(lines))


def _problem(detail: ErrorDetails) -> str:
    known = {"missing": "missing", "extra_forbidden": "no such key"}
    return known.get(detail["type"], _lower(detail["msg"]))


def _check_time(text: str, where: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ResultError(f"{where}: {shown(text)} is not a time as RFC 3339 has it") from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
