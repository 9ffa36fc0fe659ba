# SPDX-License-Identifier: Apache-2.0
"""An sshd for hosts of a lab: unpacked from Debian's packages below build/, as the machine may have none."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.capabilities import missing
from tests.support.commands import run

_UNPACKED = Path(__file__).resolve().parents[2] / "build" / "lab-sshd"
_PACKAGES = ("openssh-server", "libwrap0")
_UNIT = """\
[Service]
Environment=LD_LIBRARY_PATH={unpacked}/usr/lib/x86_64-linux-gnu
RuntimeDirectory=sshd
ExecStartPre=chmod 0600 /etc/lab_host_key
ExecStart={unpacked}/usr/sbin/sshd -D -e -f /etc/lab_sshd_config
"""
_CONFIG = """\
HostKey /etc/lab_host_key
AuthorizedKeysFile /etc/lab_authorized_keys
PermitRootLogin prohibit-password
StrictModes no
Subsystem sftp internal-sftp
"""


def sshd() -> Path:
    """Where it is unpacked. Skips the test where its packages can't be had."""
    if not (_UNPACKED / "usr/sbin/sshd").exists():
        _UNPACKED.mkdir(parents=True, exist_ok=True)
        got = run("apt-get", "download", *_PACKAGES, code=None, cwd=_UNPACKED)
        if got.returncode:
            missing(f"Debian's packages {' and '.join(_PACKAGES)}: {got.stderr.strip()}")
        for package in _UNPACKED.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, _UNPACKED], check=True)
    return _UNPACKED


def make_key(path: Path) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)


def files(key: Path) -> dict[str, str]:
    """What a host needs to let the owner of a key in."""
    passwd = Path("/etc/passwd").read_text()
    if "\nsshd:" not in passwd:
        passwd += "sshd:x:990:65534::/run/sshd:/usr/sbin/nologin\n"
    return {
        "etc/systemd/system/lab-sshd.service": _UNIT.format(unpacked=sshd()),
        "etc/lab_sshd_config": _CONFIG,
        "etc/lab_host_key": key.read_text(),
        "etc/lab_authorized_keys": key.with_suffix(".pub").read_text(),
        "etc/passwd": passwd,
    }
