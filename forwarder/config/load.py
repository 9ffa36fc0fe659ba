# SPDX-License-Identifier: Apache-2.0
"""TOML to a validated, frozen Config: every error of a file at once, each with its key path.

The keys, with their bounds and defaults, are the models in forwarder.config.model, the rules between keys
are in forwarder.config.checks, and the words for what pydantic finds in forwarder.config.messages.
Guarantees that any file gives either a Config or a ConfigError, and no other exception.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from forwarder.config.checks import Placed, Readable, check_connect, check_file
from forwarder.config.messages import Loc, field_at, key_path, message
from forwarder.config.model import Config, PortConfig
from forwarder.errors import WHOLE, ConfigError, Problem

MAX_FILE_BYTES = 1 << 20  # keeps /dev/zero and a mistaken core dump out of memory

_Model = TypeVar("_Model", bound=BaseModel)
_GONE = object()


def load(path: Path, allowed_cpus: frozenset[int]) -> Config:
    """The configuration in a file. Raises ConfigError, also for a file that can't be read."""
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
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8 text"
        raise ConfigError(source, [Problem(f"line {line}", what)]) from None
    return parse(text, source, allowed_cpus)


def parse(text: str, source: str, allowed_cpus: frozenset[int]) -> Config:
    """The configuration in a TOML document; `source` names it in errors. Raises ConfigError."""
    document = _document(text, source)
    config, problems, lost = _validate(Config, document)
    if config is None:
        config = _read_rest(Config, document, lost)
    if config is not None:
        problems += check_file(_readable(config, document, lost), allowed_cpus)
    if config is None or problems:
        raise ConfigError(source, problems)
    return config


def renamed(config: Config, name: str) -> Config:
    """The same instance under another name. Raises ConfigError with source "--name"."""
    found, problems, _ = _validate(Config, {"name": name})
    if found is None or problems:
        raise ConfigError("--name", problems)
    return config.model_copy(update={"name": name})


def port_from_params(
    params: Mapping[str, object], config: Config, existing: Sequence[PortConfig]
) -> PortConfig:
    """The port that `ttfwd connect` requests, checked by the rules of a file and against the existing ports.

    Unlike a file's, a port may stay without a peer in mode xconnect: another may be connected to it later.
    An existing port whose peer was deleted is free again. Raises ConfigError with source "connect".
    """
    document = dict(params)
    port, problems, lost = _validate(PortConfig, document)
    if port is None:
        port = _read_rest(PortConfig, document, lost)
    if port is not None:
        problems += check_connect(port, config, existing, frozenset(map(key_path, lost)))
    if port is None or problems:
        raise ConfigError("connect", problems)
    return port


def json_schema() -> dict[str, object]:
    """JSON Schema (draft 2020-12) of the file, for editors: `#:schema PATH` in its first line."""
    schema = Config.model_json_schema(by_alias=True, schema_generator=_TomlSchema)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "ttfwd configuration"}


class _TomlSchema(GenerateJsonSchema):
    """TOML has no null: a key that may be None is one that may be left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if "default" in made and made["default"] is None:
            del made["default"]
        return made


def _document(text: str, source: str) -> dict[str, Any]:
    """Parse TOML. tomllib says the place within its message, and raises other errors for some inputs."""
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


def _validate(model: type[_Model], document: Any) -> tuple[_Model | None, list[Problem], list[Loc]]:
    """The model; or None, its problems, and the places to leave out so that the rest can be read."""
    try:
        return model.model_validate(document, by_alias=True, by_name=False), [], []
    except ValidationError as error:
        # Without the inputs: pydantic can't print an integer of thousands of digits.
        details = error.errors(include_url=False, include_input=False)
    problems = [Problem(key_path(e["loc"]) or WHOLE, message(model, document, e)) for e in details]
    return None, problems, [_unreadable(model, e["loc"]) for e in details]


def _unreadable(model: type[BaseModel], loc: Loc) -> Loc:
    """The place to leave out. A table that lacks a required key is left out as a whole."""
    field = field_at(model, loc)
    return loc[:-1] if field is not None and field.is_required() else loc


def _read_rest(model: type[_Model], document: Any, lost: Iterable[Loc]) -> _Model | None:
    """The document without the places in `lost`, so that the rest can be checked too."""
    rest = _without(document, lost)
    return None if rest is _GONE else _validate(model, rest)[0]


def _without(node: Any, lost: Iterable[Loc]) -> Any:
    """A copy without these places; _GONE if nothing remains."""
    below: dict[int | str, list[Loc]] = {}
    for loc in lost:
        if not loc:
            return _GONE
        below.setdefault(loc[0], []).append(loc[1:])
    if isinstance(node, dict):
        items = {k: _without(v, below[k]) if k in below else v for k, v in node.items()}
        return {k: v for k, v in items.items() if v is not _GONE}
    elements = [_without(v, below[i]) if i in below else v for i, v in enumerate(node)]
    return [v for v in elements if v is not _GONE]


def _readable(config: Config, document: Mapping[str, Any], lost: Sequence[Loc]) -> Readable:
    """Put the ports that were read back at their places in the file."""
    there = [] if ("port",) in lost else range(len(document.get("port", ())))
    read = [index for index in there if ("port", index) not in lost]
    return Readable(
        config=config,
        ports=tuple(Placed(port, f"port[{i}].") for i, port in zip(read, config.ports, strict=True)),
        tables=frozenset(document.keys() & {"bridge", "txonly"}),
        wrong=frozenset(map(key_path, lost)),
        ports_missing=("port",) in lost or len(read) < len(there),
    )
