# SPDX-License-Identifier: Apache-2.0
"""Pydantic's errors in words of the configuration file: the value that is there, and what would be right.

Guarantees one line of bounded length for each error, for any value.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from json import dumps
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from forwarder.config.model import shown

Loc = tuple[int | str, ...]  # pydantic's place of an error: ("port", 1, "mtu")


def key_path(loc: Loc) -> str:
    """("port", 1, "mtu") is "port[1].mtu"; a key that TOML would quote is quoted."""
    path = ""
    for key in loc:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            path += ("." if path else "") + (key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else shown(key))
    return path


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the keys of the file."""
    return {str(field.validation_alias or name): field for name, field in model.model_fields.items()}


def _tables(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The models of a file's tables, and of its arrays of tables, by the keys of the file."""
    found = {}
    for key, field in _keys(model).items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found[key] = kind
    return found


def _table_of(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    """The model of the table that holds the key at `loc`."""
    return _tables(model).get(str(loc[0]), model) if len(loc) > 1 else model


def field_at(model: type[BaseModel], loc: Loc) -> FieldInfo | None:
    """The field that a place belongs to; None for a [[port]] as a whole and for a key that is unknown."""
    keys = [key for key in loc if isinstance(key, str)]
    if not keys or (isinstance(loc[-1], int) and keys == ["port"]):
        return None
    return _keys(_table_of(model, tuple(keys))).get(keys[-1])


def _at(document: Any, loc: Loc) -> Any:
    for key in loc:
        document = document[key]
    return document


def message(model: type[BaseModel], document: Any, error: ErrorDetails) -> str:
    """One line for one error."""
    loc, kind = error["loc"], error["type"]
    field = field_at(model, loc)
    if kind == "missing":
        return "missing: every port needs one"
    if not loc:
        return "holds text that is not Unicode"
    if kind == "invalid_key":
        return "not a key: keys are strings"
    if kind == "extra_forbidden":
        return _unknown_key(model, _table_of(model, loc), str(loc[-1]))
    value = _at(document, loc)
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if field is not None:
        if kind in ("less_than_equal", "greater_than_equal"):
            side = "large" if kind == "less_than_equal" else "small"
            return f"{shown(value)} is too {side}: {_range(field)}"
        if kind == "literal_error":
            choices = _choices(field.annotation)
            listed = ", ".join(map(shown, choices))
            return f"{shown(value)} is not one of {listed}{_did_you_mean(value, map(str, choices))}"
    if kind == "too_long":
        most = error["ctx"]["max_length"]
        return f"{len(value)} {'ports' if loc == ('port',) else 'of them'} are too many: at most {most}"
    return f"{_found(value)}; this key takes {_wanted(kind, loc, field, value)}"


def _wanted(kind: str, loc: Loc, field: FieldInfo | None, value: object) -> str:
    """The type that was wanted in place of `value`, and how to write it."""
    match kind:
        case "int_type" if field is not None:
            return f"a whole number: {_range(field)}"
        case "float_type" if field is not None:
            return f"a number: {_range(field)}"
        case "bool_type":
            return "true or false"
        case "string_type":
            quoted = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64
            return f'a string: "{value}"' if quoted else "a string"
        case "tuple_type" if loc == ("port",):
            return "an array of tables: write [[port]]"
        case "tuple_type":
            if isinstance(value, str) or field is None or not field.examples:
                return f"an array: [{shown(value)}]"
            return f"an array: {dumps(field.examples[0])}"
        case _:
            return f"a table: [{loc[0]}]" if len(loc) == 1 else f"a table: [[{loc[0]}]]"


def _found(value: object) -> str:
    match value:
        case bool():
            return f"{shown(value)} is a boolean"
        case str():
            return f"{shown(value)} is a string"
        case int():
            return f"{shown(value)} is a whole number"
        case float():
            return f"{shown(value)} is a floating-point number"
        case _:
            return f"found {shown(value)}"


def _choices(annotation: object) -> list[object]:
    """The values of a Literal, which may be part of a union with None, or of an array."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _range(field: FieldInfo) -> str:
    bounds = list(_bounds(field))
    low = next(m.ge for m in bounds if hasattr(m, "ge"))
    high = next(m.le for m in bounds if hasattr(m, "le"))
    return f"{low:.10g} to {high:.10g}"


def _bounds(annotated: Any) -> Iterator[Any]:
    """The constraints of a field, and of what it holds, if that is an array or may be left out."""
    if isinstance(annotated, FieldInfo):
        yield from annotated.metadata
        annotated = annotated.annotation
    for each in getattr(annotated, "__metadata__", ()):
        yield from each.metadata if isinstance(each, FieldInfo) else (each,)
    for part in get_args(annotated):
        yield from _bounds(part)


def _unknown_key(file: type[BaseModel], table: type[BaseModel], key: str) -> str:
    """Says where the key belongs if it stands in the wrong table, as a key after a [[port]] does."""
    tables = _tables(file)
    homes: dict[str, type[BaseModel]] = {"at the top, above the first [table]": file}
    homes |= {f"in {'[[port]]' if name == 'port' else f'[{name}]'}": found for name, found in tables.items()}
    for home, found in homes.items():
        if found is not table and key in _keys(found) and key not in tables:
            return f"not a key of this table: write it {home}"
    return f"no such key{_did_you_mean(key, _keys(table))}"


def _did_you_mean(word: object, known: Iterable[str]) -> str:
    if not isinstance(word, str) or len(word) > 64:
        return ""
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f" (did you mean {shown(close[0])}?)" if close else ""
