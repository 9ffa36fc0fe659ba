# SPDX-License-Identifier: Apache-2.0
"""Build the extension module forwarder._native from native/*.c, in cffi's API mode.

Called by setup.py through cffi_modules. The declarations that Python sees are taken from the C headers
themselves, turbotap.ko's among them, so that there is one copy of every struct, prototype and constant; the C
compiler checks them again.

Environment: TTFWD_SANITIZE (for example "address,undefined") builds with these sanitizers;
TTFWD_WERROR=1 makes warnings errors.
"""

import os
import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
HEADERS = (
    "abi.h",
    "layout.h",
    "forward.h",
    "pktgen.h",
    "worker.h",
    "recover.h",
    "run_state.h",
    "privilege.h",
    "uring.h",
    "packet_ring.h",
    "../kmod/uapi/turbotap.h",
)
# What the kernel's headers call its integers.
KERNEL_TYPES = "typedef uint32_t __u32; typedef int32_t __s32; typedef uint64_t __u64;"
# Static inline functions, declared here because their bodies stand in the headers. Python needs them only
# to test them one operation at a time.
INLINE = """
struct pool { uint8_t *base; uint32_t frames; uint32_t free; uint32_t *stack; ...; };
int ttf_pool_init(struct pool *pool, void *segment, int owner);
void ttf_pool_exit(struct pool *pool);
int ttf_pool_rebuild(struct pool *pool, struct ttf_ring *const *rings, uint32_t count);
uint8_t *pool_eth(const struct pool *pool, uint32_t frame);
uint32_t pool_peek(const struct pool *pool, uint32_t i);
void pool_take(struct pool *pool, uint32_t count);
void pool_put(struct pool *pool, uint32_t frame);

void ring_init(struct ttf_ring *ring, uint32_t slots, uint32_t start);
uint32_t ring_free(const struct ttf_ring *ring, uint32_t pending);
struct ttf_desc *ring_slot(struct ttf_ring *ring, uint32_t pending);
void ring_publish(struct ttf_ring *ring, uint32_t count);
uint32_t ring_completed(const struct ttf_ring *ring);
uint32_t ring_reclaimed_frame(struct ttf_ring *ring, uint32_t i);
void ring_reclaim(struct ttf_ring *ring, uint32_t count);
uint32_t ring_waiting(const struct ttf_ring *ring);
uint32_t ring_peek(struct ttf_ring *ring, uint32_t max);
const struct ttf_desc *ring_at(struct ttf_ring *ring, uint32_t i);
void ring_complete(struct ttf_ring *ring);
uint32_t ring_abandon(struct ttf_ring *ring);

uint32_t ttf_flow_hash(const uint8_t *eth, uint32_t length);
void ttf_fdb_learn(struct ttf_fdb *fdb, const uint8_t *mac, uint32_t port, uint64_t now_ns);
int ttf_fdb_lookup(const struct ttf_fdb *fdb, const uint8_t *mac, uint64_t now_ns);
uint32_t ttf_fdb_flush(struct ttf_fdb *fdb, uint32_t port);
struct offload_request { uint32_t wants; uint32_t headers; ...; };
int ttf_vnet_hdr_parse(const uint8_t *eth, uint32_t length, struct offload_request *request);
int ttf_vnet_hdr_oversize(const struct offload_request *request, const uint8_t *eth, uint32_t length,
    uint32_t mtu);
void ttf_vnet_hdr_complete(const struct offload_request *request, uint8_t *eth, uint32_t length);
uint32_t ttf_gso_packets(const struct offload_request *request, uint32_t length);
uint32_t ttf_gso_packet(const struct offload_request *request, const uint8_t *eth, uint32_t length,
    uint32_t index, uint8_t *packet);
"""


def declarations(header: str) -> str:
    """The part of a C header that cffi's parser takes: structs, enums, prototypes, simple constants."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    code = re.sub(r"static_assert\s*\(.*?\);", "", code, flags=re.DOTALL)
    lines = []
    for line in code.splitlines():
        constant = re.fullmatch(r"#define (\w+)\s+(0x[0-9a-fA-F]+|\d+)[uUlL]*\s*", line)
        ioctl = re.fullmatch(r"#define (\w+)\s+_IO[RW]+\(.*\)\s*", line)
        text = re.fullmatch(r'#define (\w+)\s+"[^"]*"\s*', line)
        if constant:
            lines.append(f"#define {constant[1]} {constant[2]}")
        elif ioctl:
            lines.append(f"#define {ioctl[1]} ...")
        elif text:
            lines.append(f"static const char *const {text[1]};")
        elif not line.startswith("#"):
            lines.append(line)
    return "\n".join(lines)


def sanitizer_flags() -> list[str]:
    wanted = os.environ.get("TTFWD_SANITIZE")
    return [f"-fsanitize={wanted}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"] if wanted else []


def build_flags() -> list[str]:
    # cffi's generated wrappers are not ours to keep free of -Wextra's findings.
    warnings = ["-Wall", "-Wshadow"] + (["-Werror"] if os.environ.get("TTFWD_WERROR") == "1" else [])
    return ["-std=gnu11", "-O2", "-g", "-D_GNU_SOURCE", *warnings, *sanitizer_flags()]


ffibuilder = FFI()
ffibuilder.cdef(KERNEL_TYPES)
for name in HEADERS:
    ffibuilder.cdef(declarations((HERE / name).read_text()))
ffibuilder.cdef(INLINE)
ffibuilder.set_source(
    "forwarder._native",
    "\n".join(
        f'#include "{name}"'
        for name in (*HEADERS, "pool.h", "ring.h", "flow_hash.h", "fdb.h", "vnet_hdr.h", "gso.h")
    ),
    sources=sorted(f"native/{path.name}" for path in HERE.glob("*.c")),
    include_dirs=["native"],
    extra_compile_args=build_flags(),
    libraries=["uring"],
    extra_link_args=sanitizer_flags(),
)
