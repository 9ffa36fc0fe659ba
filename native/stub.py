# SPDX-License-Identifier: Apache-2.0
"""Write the type stubs of the extensions, forwarder/_*.pyi, from the declarations that they are built from.

Run `python -m native.stub` in the root of the tree when the declarations have changed. A test compares
the stubs with what this makes. A struct and a pointer to it have one type, which has the struct's name. Of
cffi's own functions a stub has those that are used.
"""

import keyword
from collections.abc import Iterator

from pycparser import c_ast

from native import build_ffi, build_tester
from native.declarations import Declarations, structs_in

PACKAGE = build_ffi.NATIVE.parent / "forwarder"
PRODUCTS = {
    PACKAGE / "_native.pyi": build_ffi.product,
    PACKAGE / "_tester.pyi": build_tester.product,
}
WIDTH = 110
INDENT = " " * 4

HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Made by `python -m native.stub` from the C headers: change those, and make it again.
#
# Only `ffi` and `lib` exist at run time. Import a type `if TYPE_CHECKING`.
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, Literal, Self, TypeVar, overload

from typing_extensions import Buffer

_T = TypeVar("_T")
_CDataT = TypeVar("_CDataT", bound=CData)

class CData:
    def __add__(self, count: int, /) -> Self: ...

class CBuffer:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...

class Array(CData, Generic[_T]):
    def __getitem__(self, index: int, /) -> _T: ...
    def __setitem__(self, index: int, value: _T, /) -> None: ...
    def __iter__(self) -> Iterator[_T]: ...
    def __len__(self) -> int: ...

# Fields that are arrays, and may be set as a whole.
class _Chars:
    def __get__(self, struct: CData, owner: type[CData]) -> Array[bytes]: ...
    def __set__(self, struct: CData, value: bytes) -> None: ...

class _Integers:
    def __get__(self, struct: CData, owner: type[CData]) -> Array[int]: ...
    def __set__(self, struct: CData, value: Sequence[int]) -> None: ...
"""

FFI = """\
    @overload
    def addressof(self, cdata: _CDataT, /) -> _CDataT: ...
    @overload
    def addressof(self, cdata: CData, field: str, /) -> CData: ...
    def buffer(self, cdata: CData, size: int = -1, /) -> CBuffer: ...
    def from_buffer(self, python_buffer: Buffer, require_writable: bool = False) -> CData: ...
    def memmove(self, dest: CData | Buffer, src: CData | Buffer, n: int) -> None: ...
    def offsetof(self, cdecl: str, field: str, /) -> int: ...
    def release(self, cdata: CData, /) -> None: ...
    def sizeof(self, cdecl: str | CData, /) -> int: ...
    def string(self, cdata: CData, /) -> bytes: ...

ffi: FFI
lib: Lib
"""


class Stub:
    """The stub's parts, made from the declarations."""

    def __init__(self, declared: Declarations) -> None:
        self._declared = declared

    def text(self) -> str:
        parts = (HEAD, *self._structs(), self._lib(), self._ffi())
        return "\n".join(parts)

    # --- types

    def _type(self, node: c_ast.Node) -> str:
        """The type of a value in Python: what a function returns, or an element of an array."""
        match node:
            case c_ast.TypeDecl(type=c_ast.IdentifierType(names=["void"])):
                return "None"
            case c_ast.TypeDecl(type=c_ast.IdentifierType(names=["bool" | "_Bool"])):
                return "bool"
            case c_ast.TypeDecl(type=c_ast.IdentifierType() | c_ast.Enum()):
                return "int"
            case c_ast.TypeDecl(type=c_ast.Struct(name=str(name))):
                return name
            case c_ast.PtrDecl(type=c_ast.TypeDecl(type=c_ast.Struct(name=str(name)))):
                return name
            case c_ast.ArrayDecl(type=element):
                return f"Array[{self._type(element)}]"
        return "CData"

    def _field(self, node: c_ast.Node) -> str:
        match node:
            case c_ast.ArrayDecl(type=c_ast.TypeDecl(type=c_ast.IdentifierType(names=["char"]))):
                return "_Chars"
            case c_ast.ArrayDecl(type=c_ast.TypeDecl(type=c_ast.IdentifierType())):
                return "_Integers"
        return self._type(node)

    def _parameter(self, node: c_ast.Node) -> str:
        match node:
            case c_ast.PtrDecl(type=c_ast.TypeDecl(quals=quals, type=c_ast.IdentifierType(names=[name]))):
                return "CData | bytes" if "const" in quals and name != "void" else "CData"
        return self._type(node)

    # --- structs

    def _fields(self, struct: c_ast.Struct | c_ast.Union) -> Iterator[tuple[str, str]]:
        """Names and types. The fields of a nameless struct or union are those of the struct that it is in."""
        for each in struct.decls:
            if each.name is None:
                yield from self._fields(each.type)
            else:
                yield each.name, self._field(each.type)

    def _structs(self) -> Iterator[str]:
        yield "".join(f"class {name}(CData): ...\n" for name in self._opaque())  # as ruff lays them out
        for name, struct in self._declared.structs.items():
            fields = "".join(f"{INDENT}{field}: {type_}\n" for field, type_ in self._fields(struct))
            yield f"class {name}(CData):\n{fields}"

    def _opaque(self) -> list[str]:
        """Structs that Python has pointers to, and can't look into."""
        named = set[str]().union(*map(structs_in, self._declared.functions.values()))
        return sorted(named - self._declared.structs.keys())

    # --- functions and constants

    def _lib(self) -> str:
        constants = [f"{name}: int" for name in self._declared.constants()]
        constants += [f"{name}: CData" for name in self._declared.strings]
        lines = [f"{INDENT}{constant}\n" for constant in sorted(constants)]
        for name, function in self._declared.functions.items():
            lines += self._function(name, function)
        return f"class Lib:\n{''.join(lines)}"

    def _function(self, name: str, function: c_ast.FuncDecl) -> Iterator[str]:
        parameters = ["self"]
        for each in function.args.params:
            if each.name is not None:  # (void) has no parameter
                parameters.append(f"{_identifier(each.name)}: {self._parameter(each.type)}")
        yield from _define(name, [*parameters, "/"], self._type(function.type))

    # --- cffi

    def _ffi(self) -> str:
        pointers = {f"struct {name} *": name for name in self._declared.structs}
        lines = [f"class FFI:\n{INDENT}NULL: CData\n{INDENT}errno: int\n"]
        for cdecl, type_ in pointers.items():
            lines += _overload("new", cdecl, "init: Mapping[str, object] = ...", type_)
        lines += _overload("new", "int[]", "init: Sequence[int]", "Array[int]")
        lines += _overload("new", "uint8_t[]", "init: bytes | int", "CData")
        lines += _overload("new", "uint32_t[]", "init: Sequence[int]", "Array[int]")
        lines += _overload("new", "void *[]", "init: Sequence[CData]", "Array[CData]")
        for cdecl, type_ in (*pointers.items(), ("void *", "CData")):
            lines += _overload("cast", cdecl, "source: CData", type_)
        return f"{''.join(lines)}{FFI}"


def _identifier(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


def _overload(name: str, cdecl: str, parameter: str, result: str) -> Iterator[str]:
    yield f"{INDENT}@overload\n"
    yield from _define(name, ["self", f'cdecl: Literal["{cdecl}"]', parameter, "/"], result)


def _define(name: str, parameters: list[str], result: str) -> Iterator[str]:
    """A method, in as many lines as ruff would give it."""
    line = f"{INDENT}def {name}({', '.join(parameters)}) -> {result}: ...\n"
    if len(line) <= WIDTH + 1:
        yield line
        return
    inner = f"{INDENT}{INDENT}{', '.join(parameters)}\n"
    yield f"{INDENT}def {name}(\n"
    if len(inner) <= WIDTH + 1:
        yield inner
    else:
        yield from (f"{INDENT}{INDENT}{parameter},\n" for parameter in parameters)
    yield f"{INDENT}) -> {result}: ...\n"


if __name__ == "__main__":
    for path, product in PRODUCTS.items():
        path.write_text(Stub(product()).text())
