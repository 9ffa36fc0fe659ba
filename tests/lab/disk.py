# SPDX-License-Identifier: Apache-2.0
"""The disk of a Debian 12 that GRUB boots, made below build/ once for each version of this recipe.

It is made without loop devices: mke2fs fills the file system, and GRUB is written where a BIOS looks for it.
The machine has no network but SSH, so it has a repository of what the roles install.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.kmod.guests import FASTER
from tests.lab.repository import SUITE, repository
from tests.lab.ssh import make_key
from tests.packages.fresh import debian
from tests.support.capabilities import missing
from tests.support.commands import run

_BUILD = Path(__file__).resolve().parents[2] / "build"
_HEADERS = "linux-headers-cloud-amd64"
_INSTALLED = (
    *("linux-image-cloud-amd64", "grub2-common", "grub-pc-bin", "systemd-sysv", "dbus", "udev", "kmod"),
    *("openssh-server", "python3", "python3-apt", "python3-debian", "iproute2", "iputils-ping", _HEADERS),
)
_IN_REPOSITORY = ("tuned", "dkms", "libbpf1", "libseccomp2", "liburing2", "python3")
_UUID = "6c616200-7474-4677-a064-000000000001"
_SIZE = 6 << 30
_SECTOR = 512
_PARTITION = 1 << 20  # where it begins
_WORDS = f"console=ttyS0 {FASTER}"  # of the kernel's command line
_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "configfile")
_FILES = {
    "etc/fstab": f"UUID={_UUID} / ext4 defaults 0 1\n",
    "etc/hostname": "machine\n",
    "etc/hosts": "127.0.0.1 localhost machine\n",
    "etc/systemd/network/lab.network": "[Match]\nName=en*\n[Network]\nAddress=10.0.2.15/24\n",
    "etc/default/grub": (
        'GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\nGRUB_CMDLINE_LINUX_DEFAULT=""\n'
        f'GRUB_CMDLINE_LINUX="{_WORDS}"\nGRUB_TERMINAL=console\nGRUB_DISABLE_OS_PROBER=true\n'
    ),
    # Until the machine's own update-grub writes it.
    "boot/grub/grub.cfg": (f"linux /vmlinuz root=UUID={_UUID} ro {_WORDS}\ninitrd /initrd.img\nboot\n"),
}


def disk() -> Path:
    """A folder with `disk`, and `key`, which its root lets in by SSH."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    made = _BUILD / f"lab-machine-{recipe}"
    if not made.is_dir():
        for old in _BUILD.glob("lab-machine-*"):
            shutil.rmtree(old)
        _BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_BUILD, prefix="disk-") as scratch:
            _make(Path(scratch))
            made.mkdir()
            for name in ("disk", "key"):
                (Path(scratch) / name).rename(made / name)
    return made


def _make(folder: Path) -> None:
    root = folder / "root"
    for program in ("mmdebstrap", "mke2fs", "dpkg-scanpackages", "gpg"):
        if shutil.which(program) is None:
            missing(program)
    debian(root, *_INSTALLED)
    _give_repository(root)
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    make_key(folder / "key")
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(folder / "key.pub", root / "root/.ssh/authorized_keys")
    run("systemctl", f"--root={root}", "enable", "systemd-networkd.service")
    prefix = ("--prefix", "(hd0,msdos1)/boot/grub", "--output", "/boot/core.img")
    run("chroot", root, "grub-mkimage", "-O", "i386-pc", *prefix, *_MODULES)
    _write(folder / "disk", root)


def _give_repository(root: Path) -> None:
    """What it may install, in place of where this machine finds it."""
    get = ("chroot", root, "apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "install")
    run(*get, *_IN_REPOSITORY, timeout_s=600)
    key = repository(root / "srv/debian", (root / "var/cache/apt/archives").glob("*.deb"))
    run("chroot", root, "apt-get", "clean")
    for old in ("etc/apt/sources.list.d", "var/lib/apt/lists"):
        shutil.rmtree(root / old)
        (root / old).mkdir()
    (root / "etc/apt/apt.conf.d/of-the-machine").unlink()
    (root / "etc/apt/keyrings/debian.asc").write_text(key)
    source = f"deb [signed-by=/etc/apt/keyrings/debian.asc] file:/srv/debian {SUITE} main\n"
    (root / "etc/apt/sources.list").write_text(source)
    run("chroot", root, "apt-get", "-q", "update")


def _write(disk: Path, root: Path) -> None:
    """GRUB's first sector with the table of partitions, GRUB, and a partition with the root's files."""
    boot = bytearray((root / "usr/lib/grub/i386-pc/boot.img").read_bytes())
    first, count = (number // _SECTOR for number in (_PARTITION, _SIZE - _PARTITION))
    entry = b"\x80\0\0\0\x83\0\0\0" + first.to_bytes(4, "little") + count.to_bytes(4, "little")
    boot[446:] = entry + bytes(48) + b"\x55\xaa"
    core = (root / "boot/core.img").read_bytes()
    assert len(core) < _PARTITION - _SECTOR
    with disk.open("wb") as file:
        file.write(boot + core)
        file.truncate(_SIZE)
    place = ("-E", f"offset={_PARTITION}", disk, f"{(_SIZE - _PARTITION) >> 10}k")
    run("mke2fs", "-q", "-t", "ext4", "-U", _UUID, "-d", root, *place, timeout_s=600)
