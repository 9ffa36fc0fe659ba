# SPDX-License-Identifier: Apache-2.0
"""The seam between Python and C: the declarations, and the types for mypy."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from cffi import FFI

from native import build_ffi, build_tester, stub
from native.declarations import read

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {path: path.read_text() for path in (ROOT / "forwarder").rglob("*.py")}

HEADER = """
#include <stdint.h>
#define SIZES(X) \\
	X(SMALL, "few bytes") \\
	X(LARGE, "many bytes")
enum size {
#define X(name, meaning) SIZE_##name,
	SIZES(X)
#undef X
	SIZE_COUNT
};
#define LIMIT (SIZE_LIMIT / 2) /* of something */
#define SIZE_LIMIT 8u
#define NAME "a name"
struct inner { bool set; };
struct opaque;
struct outer {
	union {
		uint32_t id;
		uint8_t octets[SIZE_LIMIT - 4];
	};
	struct inner inner[2];
};
static_assert(sizeof(struct inner) == 1, "of one octet");
struct alone { uint64_t value; };
static inline const struct outer *next(struct opaque *from, const char *name)
{
	return from && name ? (const struct outer *)(name + LIMIT) : 0;
}
bool is_set(const struct inner *inner);
"""


def test_headers_are_read_as_the_compiler_reads_them(tmp_path: Path) -> None:
    (tmp_path / "sample.h").write_text(HEADER)
    declared = read([tmp_path / "sample.h"])
    assert declared.constants() == ("LIMIT", "SIZE_LIMIT", "SIZE_SMALL", "SIZE_LARGE", "SIZE_COUNT")
    assert declared.strings == ("NAME",)
    assert list(declared.structs) == ["inner", "outer", "alone"]
    assert list(declared.functions) == ["next", "is_set"]
    assert list(declared.only(["next"]).structs) == ["inner", "outer"], "and what it needs"
    ffi = FFI()
    ffi.cdef(declared.cdef())
    assert ffi.typeof("struct outer").kind == "struct"
    assert ffi.sizeof("struct outer") == 8
    assert (
        "    def next(self, from_: opaque, name: CData | bytes, /) -> outer: ...\n"
        in stub.Stub(declared).text()
    )


@pytest.mark.parametrize("path", stub.PRODUCTS, ids=lambda path: path.name)
def test_a_stub_is_that_of_the_headers(path: Path) -> None:
    assert path.read_text() == stub.Stub(stub.PRODUCTS[path]()).text(), "python -m native.stub"


def test_nothing_is_declared_that_is_not_used() -> None:
    code = "\n".join(SOURCES.values())
    functions = build_ffi.FUNCTIONS + build_tester.FUNCTIONS
    structs = build_ffi.STRUCTS + build_tester.STRUCTS
    assert set(functions) - set(re.findall(r"\blib\.(\w+)", code)) == set()
    assert set(structs) - set(re.findall(r'"struct (\w+)(?: \*)?"', code)) == set()


@pytest.mark.parametrize(
    ("extension", "importer"),
    [("_native", "forwarder/native.py"), ("_tester", "forwarder/tester/native.py")],
)
def test_one_module_imports_an_extension(extension: str, importer: str) -> None:
    importers = set()
    for path, source in SOURCES.items():
        if extension not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module == f"forwarder.{extension}":
                importers.add(path.relative_to(ROOT).as_posix())
    assert importers == {importer}
