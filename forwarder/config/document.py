# SPDX-License-Identifier: Apache-2.0
"""A TOML file to a pydantic model. What can't be read is a ConfigError that names the place.

The words for what pydantic finds are in forwarder.config.messages. Rules between keys are their file's own.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from forwarder.config.messages import Loc, key_path, message
from forwarder.errors import WHOLE, ConfigError, Problem

MAX_FILE_BYTES = 1 << 20  # keeps /dev/zero and a mistaken core dump out of memory

_Model = TypeVar("_Model", bound=BaseModel)


def read_text(path: Path) -> str:
    """The text of a file. Raises ConfigError."""
    source = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(source, [Problem(WHOLE, f"can't be read: {error.strerror or error}")]) from None
    except ValueError as error:  # a NUL in the path
        raise ConfigError(source, [Problem(WHOLE, f"can't be read: {error}")]) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(
            source, [Problem(WHOLE, f"larger than {MAX_FILE_BYTES} bytes: not a configuration")]
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8 text"
        raise ConfigError(source, [Problem(f"line {line}", what)]) from None


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """The document. tomllib says the place within its message, and raises other errors for some inputs."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).rpartition(" (at ")
        position = re.fullmatch(r"(line \d+, column \d+)\)", where)
        end = f"line {text.count(chr(10)) + 1}, end of file"
        problem = Problem(position[1] if position else end, (what or str(error))[:200])
    except RecursionError:
        problem = Problem(
            WHOLE, "nested too deeply: the deepest key of a configuration is port[0].address[0]"
        )
    except ValueError as error:  # a number of more digits than Python converts
        problem = Problem(WHOLE, f"not TOML: {str(error).partition(';')[0]}")
    raise ConfigError(source, [problem])


def validate(model: type[_Model], document: Any) -> tuple[_Model | None, list[Problem], list[Loc]]:
    """The model; or None, its problems, and the place of each."""
    try:
        return model.model_validate(document, by_alias=True, by_name=False), [], []
    except ValidationError as error:
        # Without the inputs: pydantic can't print an integer of thousands of digits.
        details = error.errors(include_url=False, include_input=False)
    problems = [Problem(key_path(e["loc"]) or WHOLE, message(model, document, e)) for e in details]
    return None, problems, [e["loc"] for e in details]
