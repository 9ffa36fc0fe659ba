# SPDX-License-Identifier: Apache-2.0
"""python deploy/man_pages.py OUT: the man pages and the completion scripts of ttfwd, for its packages.

OUT/man/ttfwd*.1       of each command, by click-man from its help
OUT/man/ttfwd.toml.5   docs/configuration.md, by go-md2man
OUT/shell/             completion for bash, zsh and fish, as `ttfwd completion` prints it
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
from click.testing import CliRunner
from click_man.core import write_man_pages

from forwarder.cli.commands import main as ttfwd

CONFIGURATION = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
COMPLETION = {"bash": "ttfwd", "zsh": "_ttfwd", "fish": "ttfwd.fish"}


def _say_it_whole(command: click.Command) -> None:
    """Let lists of commands have the first sentence of each, which click would cut at 45 characters."""
    command.short_help = (
        (command.help or "").partition("\n\n")[0].partition(". ")[0].replace("\n", " ").rstrip(".")
    )
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _say_it_whole(each)


def main(out: Path) -> None:
    _say_it_whole(ttfwd)
    man, shell = out / "man", out / "shell"
    for folder in (man, shell):
        folder.mkdir(parents=True, exist_ok=True)
    write_man_pages("ttfwd", ttfwd, version=version("ttfwd"), target_dir=str(man))
    title, _, text = CONFIGURATION.read_text().partition("\n# ")[2].partition("\n")
    name = f"# NAME\n\nttfwd.toml - {title.lower()} of ttfwd"
    page = f"ttfwd.toml 5\n============\n\n{name}\n\n# DESCRIPTION\n{text}"
    subprocess.run(["go-md2man", "-out", man / "ttfwd.toml.5"], input=page, text=True, check=True)
    for kind, file in COMPLETION.items():
        printed = CliRunner().invoke(ttfwd, ["completion", kind], catch_exceptions=False, prog_name="ttfwd")
        (shell / file).write_text(printed.output)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
