# SPDX-License-Identifier: Apache-2.0
"""Read C headers as declarations: structs, enums, constants and functions, for cffi and for the type stub.

The compiler's preprocessor expands macros first, so that a header may make an enum from a list and give an
array the length of an expression. The parser is cffi's own, pycparser. Static inline functions become
prototypes. Included headers are left out: name them too, before the header that includes them.
"""

import os
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pycparser import c_ast, c_generator, c_parser

# Types of the system's headers. cffi knows them; the parser must be told that these names are types.
_SYSTEM_TYPES = (
    "bool",
    "size_t",
    "uintptr_t",
    *(f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
_PRELUDE = "".join(f"typedef int {name};" for name in _SYSTEM_TYPES)
# The kernel's names of integers.
_KERNEL_TYPES = tuple(
    f"-D__{letter}{bits}={sign}int{bits}_t"
    for letter, sign in (("s", ""), ("u", "u"))
    for bits in (8, 16, 32, 64)
)


@dataclass(frozen=True)
class Declarations:
    """What headers declare, in their order."""

    integers: tuple[str, ...]  # macros that stand for an integer
    strings: tuple[str, ...]  # macros that stand for a string
    enums: tuple[c_ast.Enum, ...]
    structs: dict[str, c_ast.Struct]
    functions: dict[str, c_ast.FuncDecl]

    def only(self, names: Iterable[str]) -> "Declarations":
        """These functions and structs, the structs that they need, and every constant."""
        wanted = set(names)
        if unknown := wanted - self.structs.keys() - self.functions.keys():
            raise ValueError(f"not declared: {', '.join(sorted(unknown))}")
        pending = list(wanted)
        while pending:
            name = pending.pop()
            needed = structs_in(self.structs.get(name) or self.functions[name]) & self.structs.keys()
            pending += needed - wanted
            wanted |= needed
        return Declarations(
            self.integers,
            self.strings,
            self.enums,
            {name: struct for name, struct in self.structs.items() if name in wanted},
            {name: function for name, function in self.functions.items() if name in wanted},
        )

    def constants(self) -> tuple[str, ...]:
        """Everything that is an int in Python: macros and the names in enums."""
        return (*self.integers, *(each.name for enum in self.enums for each in enum.values.enumerators))

    def cdef(self) -> str:
        """The declarations as cffi takes them. The C compiler finds the constants' values."""
        code = c_generator.CGenerator()
        return "\n".join(
            (
                *(f"#define {name} ..." for name in self.integers),
                *(f"static const char *const {name};" for name in self.strings),
                *(f"{code.visit(node)};" for node in (*self.enums, *self.structs.values())),
                *(f"{code.visit(function)};" for function in self.functions.values()),
            )
        )


def structs_in(node: c_ast.Node) -> set[str]:
    """The names of structs that a node names, at any depth."""
    found = {node.name} if isinstance(node, c_ast.Struct) else set()
    return found.union(*(structs_in(child) for _, child in node.children()))


def _preprocess(code: str) -> str:
    """Macros are expanded, and their definitions kept."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    command = [*compiler, "-E", "-P", "-dD", "-undef", *_KERNEL_TYPES, "-"]
    return subprocess.run(command, input=code, stdout=subprocess.PIPE, text=True, check=True).stdout


def _declared(tree: c_ast.FileAST) -> Iterator[c_ast.Decl]:
    for node in tree.ext:
        if isinstance(node, c_ast.FuncDef):
            yield node.decl
        elif isinstance(node, c_ast.Decl):
            yield node


def read(headers: Iterable[Path]) -> Declarations:
    """What these headers declare. A header comes after those that it needs."""
    code = "\n".join(header.read_text() for header in headers)
    code = _preprocess(re.sub(r"^\s*#\s*include\b.*", "", code, flags=re.MULTILINE))
    macros = re.findall(r"^#define ([^\W_]\w*) (\S.*)$", code, flags=re.MULTILINE)
    code = re.sub(r"^#.*", "", code, flags=re.MULTILINE).replace("static_assert", "_Static_assert")
    declared = list(_declared(c_parser.CParser().parse(_PRELUDE + code)))
    types = [each.type for each in declared]
    return Declarations(
        integers=tuple(name for name, value in macros if not value.startswith('"')),
        strings=tuple(name for name, value in macros if value.startswith('"')),
        enums=tuple(type_ for type_ in types if isinstance(type_, c_ast.Enum)),
        structs={type_.name: type_ for type_ in types if isinstance(type_, c_ast.Struct) and type_.decls},
        functions={each.name: each.type for each in declared if isinstance(each.type, c_ast.FuncDecl)},
    )
