# SPDX-License-Identifier: Apache-2.0
"""The collection ttfwd.lab of this source tree, where Ansible finds it."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "deploy" / "ansible"


def ansible_environment(directory: Path) -> dict[str, str]:
    """Of an Ansible that finds the collection, and keeps all that it writes in the directory."""
    collection = directory / "collections" / "ansible_collections" / "ttfwd" / "lab"
    if not collection.is_symlink():
        collection.parent.mkdir(parents=True)
        collection.symlink_to(SOURCE)
    config = directory / "ansible.cfg"
    config.write_text(
        f"[defaults]\ncollections_path = {directory}/collections\nlocal_tmp = {directory}/tmp\n"
        "remote_tmp = /tmp/ansible\n"
        "retry_files_enabled = false\nhost_key_checking = false\ntimeout = 10\n"
        f"[ssh_connection]\npipelining = true\ncontrol_path_dir = {directory}/cp\n"
    )
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_HOME": str(directory / "ansible"),
    }
