# SPDX-License-Identifier: Apache-2.0
"""TOML to a validated, frozen Config: every error of a file at once, each with its key path.

The keys, with their bounds and defaults, are the models in forwarder.config.model, the rules between keys
are in forwarder.config.checks. forwarder.config.document reads the file.
Guarantees that any file gives either a Config or a ConfigError, and no other exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from forwarder.config.checks import Placed, Readable, check_connect, check_file
from forwarder.config.document import parse_toml, read_text, validate
from forwarder.config.messages import Loc, field_at, key_path
from forwarder.config.model import Config, PortConfig
from forwarder.errors import ConfigError, Problem

_Model = TypeVar("_Model", bound=BaseModel)
_GONE = object()


def load(path: Path, allowed_cpus: frozenset[int]) -> Config:
    """The configuration in a file. Raises ConfigError, also for a file that can't be read."""
    return parse(read_text(path), str(path), allowed_cpus)


def parse(text: str, source: str, allowed_cpus: frozenset[int]) -> Config:
    """The configuration in a TOML document; `source` names it in errors. Raises ConfigError."""
    document = parse_toml(text, source)
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


def _validate(model: type[_Model], document: Any) -> tuple[_Model | None, list[Problem], list[Loc]]:
    """The model; or None, its problems, and the places to leave out so that the rest can be read."""
    found, problems, places = validate(model, document)
    return found, problems, [_unreadable(model, loc) for loc in places]


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
