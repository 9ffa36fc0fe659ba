# SPDX-License-Identifier: Apache-2.0
"""The commands of `ttfwd`: options and arguments, and one call each. Exit codes: forwarder.errors.ExitCode.

What takes long to import is imported by the command that needs it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from forwarder import drivers, rundir
from forwarder.cli.bench import bench
from forwarder.cli.capture import capture
from forwarder.config.cpus import allowed_cpus, nameable_cpus
from forwarder.control.client import call
from forwarder.errors import ExitCode, NotRunning, TtfwdError

if TYPE_CHECKING:
    from forwarder.cli.report import ExportFormat, ReportFormat
    from forwarder.config.model import Config
    from forwarder.host.finding import Purpose

instance_option = click.option("--name", metavar="INSTANCE", help="Which instance; default: the only one.")
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


class Seconds(click.FloatRange):
    """A finite number of seconds; a range alone lets "nan" through."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = float(super().convert(value, param, ctx))
        return found if math.isfinite(found) else self.fail(f"{value} is not a number of seconds", param, ctx)


def _complain(text: str) -> None:
    """A line on stderr. That it is full or closed changes nothing: the exit code tells, too."""
    with suppress(OSError):
        click.echo(text, err=True)


class Commands(click.Group):
    """Ends a command with a message and a documented exit code for every error that a user can cause."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except TtfwdError as error:
            _complain(error.for_terminal())
            sys.exit(error.exit_code)
        except OSError as error:  # out of file descriptors, processes or memory, wherever it happened
            where = f"{error.filename}: " if error.filename else ""
            _complain(f"ttfwd: {where}{error.strerror or error}")
            sys.exit(ExitCode.NOT_PERMITTED if isinstance(error, PermissionError) else ExitCode.FAILED)
        except RuntimeError as error:
            if "new thread" not in str(error):  # Python has no type for it
                raise
            _complain(f"ttfwd: {error} (ulimit -u may bound them)")
            sys.exit(ExitCode.FAILED)


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from forwarder.cli.version import line

        click.echo(line())
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and what it was built from.",
)
def main() -> None:
    """Forward packets between network devices with one pinned worker process per queue."""


def _load(path: Path, name: str | None) -> Config:
    # pydantic takes as long to import as all else together, and most commands read no configuration.
    from forwarder.config.checks import warnings
    from forwarder.config.load import load, renamed

    config = load(path, nameable_cpus())
    if name is not None:
        config = renamed(config, name)
    for warning in warnings(config, allowed_cpus()):
        _complain(f"{path}: warning: {warning}")
    return config


@main.command()
@click.option("-c", "--config", "path", required=True, type=click.Path(path_type=Path), help="TOML file.")
@click.option("--name", metavar="INSTANCE", help="Name of the instance; default: the file's.")
@click.option("--detach", is_flag=True, help="Return once it runs, and leave it in the background.")
@click.option("--ready-fd", type=int, hidden=True)
@click.option("--log", "log_file", type=click.Path(path_type=Path), hidden=True)
@click.option("-v", "--verbose", is_flag=True, help="More log lines.")
def start(
    path: Path, name: str | None, detach: bool, ready_fd: int | None, log_file: Path | None, verbose: bool
) -> None:
    """Start an instance and show it; Ctrl-C drains and removes it."""
    began_ns = time.monotonic_ns()
    from forwarder import logs
    from forwarder.cli import detach as in_background
    from forwarder.cli import start as start_command

    config = _load(path, name)
    if detach:
        options = (["--name", name] if name else []) + (["--verbose"] if verbose else [])
        in_background.detach(config, path, options)
    else:
        start_command.run(config, began_ns, ready_fd, log_file, logs.to_user(verbose, config.name))


@main.command("list")
@click.option(
    "--interval", type=Seconds(min=0.01, max=3600), default=0.5, show_default=True, help="Seconds for rates."
)
@json_option
def list_instances(interval: float, as_json: bool) -> None:
    """Show every instance of the host: state, ports, rates."""
    from forwarder.stats import overview
    from forwarder.stats.section import make_console

    found = overview.look(interval)
    if as_json:
        click.echo(json.dumps([overview.to_json(it) for it in found]))
    elif found:
        make_console().print(*overview.tables(found), sep="\n")
    else:
        click.echo("no instance is running")


@main.command()
@instance_option
@click.option("--timeout", type=Seconds(min=0, max=86400), help="Seconds to drain; default: the config's.")
def stop(name: str | None, timeout: float | None) -> None:
    """Drain an instance and remove what it made."""
    from forwarder.cli import left
    from forwarder.cli.stop import stop as stop_instance

    instance = rundir.the_instance(name, rundir.running())
    stop_instance(instance, timeout)
    left.report(instance)
    click.echo(f'instance "{instance}" stopped')


@main.command()
@click.argument("port")
@click.option(
    "--driver", help=f"{drivers.AUTO}, {', '.join(get_args(drivers.Name))}; default: {drivers.AUTO}."
)
@click.option("--io", help=f"{' or '.join(get_args(drivers.Io))}, where the driver has both.")
@click.option("--offload/--no-offload", default=None, help="Default: --offload.")
@click.option("--queues", type=int, help="Default: one for each worker.")
@click.option("--mtu", type=int)
@click.option("--mac")
@click.option("--netns", help="Made when missing.")
@click.option("--address", multiple=True, help="With prefix length; may be given more than once.")
@click.option("--peer", help="xconnect: the port to connect it to.")
@instance_option
@json_option
def connect(port: str, name: str | None, as_json: bool, address: Sequence[str], **given: Any) -> None:
    """Add PORT to a running instance and print what the host now sees."""
    instance = rundir.the_instance(name, rundir.running())
    params = {"name": port, **{key: value for key, value in given.items() if value is not None}}
    if address:
        params["address"] = list(address)
    seen = call(instance, "connect", params)
    if as_json:
        click.echo(json.dumps(seen))
        return
    where = f" in network namespace {seen['netns']}" if seen["netns"] else ""
    driver = f"{seen['driver']}/{seen['io']}" if seen["io"] else seen["driver"]
    click.echo(f"{seen['port']}{where}: {seen['state']}, ifindex {seen['ifindex']}, MAC {seen['mac']}")
    click.echo(f"  driver {driver} ({seen['driver_note']}), {seen['queues']} queues, MTU {seen['mtu']}")
    click.echo(f"  offload {' '.join(seen['offloads']) or 'none'}")
    click.echo(f"  peer {seen['peer'] or 'none'}, addresses {', '.join(seen['addresses']) or 'none'}")


@main.command()
@click.argument("port")
@instance_option
@json_option
def delete(port: str, name: str | None, as_json: bool) -> None:
    """Drain PORT of a running instance and remove it."""
    instance = rundir.the_instance(name, rundir.running())
    result = call(instance, "delete", {"name": port})
    click.echo(json.dumps(result) if as_json else f"{port} deleted")


@main.command()
@instance_option
@json_option
@click.option("--watch", is_flag=True, help="Look again every interval until Ctrl-C.")
@click.option("--interval", type=Seconds(0.05, 3600), default=0.5, show_default=True, help="Seconds.")
@click.option("--port", "ports", multiple=True, help="Only this port; may be given more than once.")
@click.option(
    "--worker", "workers", type=int, multiple=True, help="Only this worker; may be given more than once."
)
def stats(
    name: str | None,
    as_json: bool,
    watch: bool,
    interval: float,
    ports: tuple[str, ...],
    workers: tuple[int, ...],
) -> None:
    """Show counters and rates, read from shared memory alone."""
    from forwarder.cli.stats import show
    from forwarder.cli.stats import watch as watch_instance
    from forwarder.stats.reader import running_instances

    # One that died is shown when it is named, and never chosen.
    known, running = running_instances(), rundir.running()
    if name is None and known and not running:
        raise NotRunning(None, readable=known)
    instance = rundir.the_instance(name, known if name else running)
    if watch:
        watch_instance(instance, interval, ports, workers, as_json)
    else:
        show(instance, interval, ports, workers, as_json)


out_option = click.option(
    "--out", type=click.Path(path_type=Path), help="File to write, or - for standard output."
)


@main.command()
@click.argument("results", metavar="[RESULT]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--compare", metavar="BASE", type=click.Path(path_type=Path), help="A result to compare with.")
@click.option(
    "--lab", metavar="DIR", type=click.Path(path_type=Path), help="All results of a lab: docs/lab.md."
)
@click.option("--format", "kind", type=click.Choice(["text", "html", "md", "csv"]), default="text")
@click.option("--full", is_flag=True, help="text: the long tables too, every trial among them.")
@click.option("--require-publishable", is_flag=True, help="Exit with 4 if a result may not be published.")
@out_option
def report(
    results: tuple[Path, ...],
    compare: Path | None,
    lab: Path | None,
    kind: ReportFormat,
    full: bool,
    require_publishable: bool,
    out: Path | None,
) -> None:
    """Show what bench measured; by default the latest result here.

    RESULT is a directory that bench wrote, or its result.json. HTML goes into a file report.html there.
    """
    from forwarder.cli import report as report_command

    if lab is not None:
        if results or compare or require_publishable:
            raise click.UsageError("--lab goes without RESULT, --compare and --require-publishable")
        report_command.lab_report(lab, kind, out, full)
        return
    shown = report_command.report(results, compare, kind, out, full)
    if require_publishable:
        report_command.require_publishable(shown)


class ResultByDefault(click.Group):
    """`ttfwd export RESULT ...` means `ttfwd export result RESULT ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["result", *args]
        return super().parse_args(ctx, args)


@main.group(cls=ResultByDefault)
def export() -> None:
    """Give a result of bench, or what instances count, to another program."""


@export.command("result")
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--format", "kind", required=True, type=click.Choice(["uti", "openmetrics", "hdr", "csv"]))
@out_option
def export_result(result: Path, kind: ExportFormat, out: Path | None) -> None:
    """Give a result of bench to another program.

    uti is FD.io CSIT's JSON, openmetrics is for Prometheus, hdr is a log of HdrHistogram, csv has a line for
    each trial.
    """
    from forwarder.cli import report as report_command

    report_command.export(result, kind, out)


@export.command("prometheus")
@click.option("--listen", metavar="ADDR:PORT", help="Serve http://ADDR:PORT/metrics until Ctrl-C.")
@click.option("--textfile", type=click.Path(path_type=Path), help="Replace this file, for node_exporter.")
def export_prometheus(listen: str | None, textfile: Path | None) -> None:
    """Give the metrics of all instances of the host to Prometheus; without an option, print them."""
    from forwarder.cli import prometheus

    if listen and textfile:
        raise click.UsageError("--listen and --textfile: give one of them")
    if listen:
        prometheus.serve(*prometheus.address(listen))
    elif textfile:
        prometheus.write(textfile)
    else:
        prometheus.show()


@main.command()
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["throughput", "latency"]),
    default="throughput",
    show_default=True,
    help="What is to be measured.",
)
@click.option("--name", metavar="INSTANCE", help="Look at the CPUs and devices of this running instance.")
@click.option(
    "--port",
    "ports",
    multiple=True,
    help="A port of the instance, else DEVICE or NETNS/DEVICE; may be given more than once.",
)
@click.option(
    "--cpus", help='CPUs of the workers, such as "2-5"; default: the isolated ones, else all but 0.'
)
@json_option
@click.option(
    "--script", "as_script", is_flag=True, help="Print the commands that would change what is wrong."
)
@click.option(
    "--compare",
    "base",
    metavar="RESULT",
    type=click.Path(path_type=Path),
    help="Compare the host with a result's.",
)
def doctor(
    purpose: Purpose,
    name: str | None,
    ports: tuple[str, ...],
    cpus: str | None,
    as_json: bool,
    as_script: bool,
    base: Path | None,
) -> None:
    """Say what of this host would spoil a measurement, and how to change it. Changes nothing.

    Exit code 4: figures of this host aren't fit to be published.
    """
    from forwarder.cli import doctor as doctor_command

    sys.exit(doctor_command.run(purpose, name, ports, cpus, as_json, as_script, base))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Validate a configuration file and print every error at once."""
    config = _load(file, None)
    click.echo(f"{file}: valid: {config.mode}, {config.queues} queues, {len(config.ports)} ports")


@main.command()
def schema() -> None:
    """Print the configuration's JSON Schema, for editors."""
    from forwarder.config.load import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@main.command()
@json_option
def version(as_json: bool) -> None:
    """Print the versions of ttfwd and of its shared memory, and what it was built from."""
    from forwarder.cli.version import facts, line

    click.echo(json.dumps(facts()) if as_json else line())


main.add_command(bench)
main.add_command(capture)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell: eval "$(ttfwd completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise TtfwdError(f"click has no completion for {shell}")
    click.echo(found(main, {}, "ttfwd", "_TTFWD_COMPLETE").source())
