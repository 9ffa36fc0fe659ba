# SPDX-License-Identifier: Apache-2.0
"""What `ttfwd stop` says of the things that an instance made or changed and that are still there."""

import click

from forwarder import rundir
from forwarder.errors import LeftBehind, listed


def report(instance: str) -> None:
    """Call when the instance has ended. Raises LeftBehind for what should be gone."""
    if not rundir.journal_path(instance).exists():
        return
    from forwarder.devices.sweep import left_by  # this imports netlink, and is seldom needed

    failed = []
    for entry, why in left_by(instance):
        if why is None:
            failed.append(entry)
        else:
            click.echo(f"ttfwd: {entry} stays: {why}", err=True)
    if failed:
        raise LeftBehind(
            f'instance "{instance}" stopped, and left {listed(failed)}; its log says why, and its next start '
            "tries again"
        )
