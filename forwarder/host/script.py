# SPDX-License-Identifier: Apache-2.0
"""A shell script of the commands that would change what doctor found. Nothing of it is done here.

tuned keeps settings over a restart. Its profile cpu-partitioning does most of it: no ticks, no kernel's
work, no interrupts on these CPUs. Ours adds to it.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator

from forwarder.config.cpus import format_cpu_list
from forwarder.host.checkup import Checkup
from forwarder.host.finding import Finding, cpus_shown
from forwarder.stats.section import printable

_WIDTH = 100
_PROFILE = "ttfwd-lab"
_BY_PARTITIONING = ("nohz_full=", "rcu_nocbs=")  # it sets the first, which implies the second

_HEAD = """\
#!/bin/sh
# What `ttfwd doctor --for {purpose}` would change on this host for {cpus}. Nothing of it has been done.
# Read it first. Then, as root:
#
#   sh FILE now     changes settings until the machine starts again
#   sh FILE tuned   makes a profile for tuned, which keeps them; restart the machine afterwards
#
# Then run `ttfwd doctor` again: it shows what has really changed.
set -u
failed=0

run() {{
    echo "$1"
    sh -c "$1" || failed=$((failed + 1))
}}

"""
_TUNED = """\
tuned() {{
    variables=/etc/tuned/cpu-partitioning-variables.conf
    if [ ! -e "$variables" ]; then
        echo 'tuned and its profile cpu-partitioning are missing (Debian: apt-get install tuned)' >&2
        exit 1
    fi
    cp "$variables" "$variables.before-ttfwd"
    echo 'isolated_cores={cpus}' > "$variables"
    mkdir -p /etc/tuned/{name}
    cat > /etc/tuned/{name}/tuned.conf <<'END'
{profile}END
    run 'tuned-adm profile {name}'
}}
"""
_NO_TUNED = """\
tuned() {
    echo 'there is one CPU, which nothing can be kept away from' >&2
    exit 1
}
"""
_TAIL = """
case "${1-}" in
    now) now ;;
    tuned) tuned ;;
    *) echo "usage: sh $0 now | tuned" >&2; exit 2 ;;
esac
if [ "$failed" != 0 ]; then
    echo "commands that failed: $failed" >&2
    exit 1
fi
"""


def script(checkup: Checkup) -> str:
    """For sh. It is the same for the same findings."""
    case = checkup.case
    wanted = [
        finding for finding in checkup.of("block", "warn", "advise") if finding.commands or finding.keep
    ]
    return "".join(
        (
            _HEAD.format(purpose=case.purpose, cpus=cpus_shown(case.cpus)),
            "now() {\n",
            *_commented(wanted),
            "    :\n}\n\n",
            _TUNED.format(cpus=format_cpu_list(case.cpus), name=_PROFILE, profile=profile(checkup))
            if case.others
            else _NO_TUNED,
            _TAIL,
        )
    )


def profile(checkup: Checkup) -> str:
    """tuned.conf. What devices need isn't in it: that belongs to the network's configuration."""
    lines: dict[str, list[str]] = {}
    for finding in checkup.of("block", "warn", "advise"):
        for keep in finding.keep:
            if not keep.line.startswith(_BY_PARTITIONING):
                lines.setdefault(keep.section, []).append(keep.line)
    words = lines.pop("bootloader", [])
    if words:
        lines["bootloader"] = [f"cmdline_{_PROFILE.replace('-', '_')}=+{' '.join(words)}"]
    sections = "".join(
        f"\n[{section}]\n" + "".join(f"{line}\n" for line in each) for section, each in lines.items()
    )
    summary = f"{checkup.case.purpose} measured with ttfwd on {cpus_shown(checkup.case.cpus)}"
    return f"[main]\nsummary={summary}\ninclude=cpu-partitioning\n{sections}"


def _commented(findings: Iterable[Finding]) -> Iterator[str]:
    """The commands of each finding. A command that two have is run once."""
    seen: set[str] = set()
    for finding in findings:
        commands = [command for command in finding.commands if command not in seen]
        seen.update(commands)
        lines = [*_comment(finding), *(f"run {shlex.quote(command)}" for command in commands)]
        yield "".join(f"    {line}\n" for line in lines) + "\n"


def _comment(finding: Finding) -> Iterator[str]:
    texts = [f"{finding.what}: {finding.value} ({finding.file})", finding.why]
    if not finding.commands:
        texts.append(f"Only at boot: {' '.join(keep.line for keep in finding.keep)}")
    for text in texts:
        yield from textwrap.wrap(
            printable(text), _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
        )
