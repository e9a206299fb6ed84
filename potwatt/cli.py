"""The command line. Each command is thin: it reads its arguments and hands over."""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from plant.errors import ConfigError, PotwattError
from potwatt import logs
from potwatt.annotate_cli import annotate
from potwatt.copies_cli import backup, export, restore
from potwatt.devices_cli import devices_app
from potwatt.explain_cli import explain
from potwatt.probe_cli import probe
from potwatt.province_cli import province
from potwatt.read_cli import read
from potwatt.roles import ROLES
from potwatt.selftest.cli import selftest_app
from potwatt.spool_cli import spool
from potwatt.study_cli import study
from potwatt.verify_cli import verify

app = typer.Typer(
    help="Energy monitoring and microgrid telemetry for aluminium smelters. "
    "Start with `potwatt demo`, or with `potwatt init` for your own plant.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ledger_app = typer.Typer(help="Weighed metal, ingots, metal in pots, manual readings, certificates.", no_args_is_help=True)
dashboards_app = typer.Typer(help="Grafana dashboards made from the site (they need the InfluxDB store).", no_args_is_help=True)
keys_app = typer.Typer(help="Keys of the API.", no_args_is_help=True)
app.add_typer(ledger_app, name="ledger")
app.add_typer(dashboards_app, name="dashboards")
app.add_typer(keys_app, name="keys")
app.add_typer(devices_app, name="devices")
app.add_typer(selftest_app, name="selftest")
app.command()(annotate)
app.command()(probe)
app.command()(read)
app.command()(backup)
app.command()(restore)
app.command()(export)
app.command()(verify)
app.command()(spool)
app.command()(study)
app.command()(explain)
app.command()(province)
console = Console(highlight=False)

SiteFile = Annotated[Path, typer.Argument(help="The site file.")]
SiteOption = Annotated[Path, typer.Option("--site", help="The site file.")]


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port of the page.", min=1, max=65535)] = 8000,
    data: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path("potwatt-demo"),
    days: Annotated[int, typer.Option(help="Days of history to fill in.", min=0, max=400)] = 30,
    seed: Annotated[int, typer.Option(help="Which simulated smelter.")] = 1,
) -> None:
    """A simulated smelter on real protocols with everything running. Ctrl-C stops it; the same --data goes on."""
    from potwatt.demo import run_demo  # noqa: PLC0415  (the demo alone needs the simulators)

    logs.set_up(logging.ERROR)  # states are on the page; the terminal keeps to the address and the progress
    uvloop.run(run_demo(port=port, data_dir=data, days=days, seed=seed, console=console))


@app.command()
def run(site: SiteFile) -> None:
    """All roles of a plant in one process."""
    _run(site, ROLES)


@app.command()
def collect(site: SiteFile) -> None:
    """Only read meters and forward readings (needs the InfluxDB store)."""
    _run(site, ("collect",))


@app.command()
def analyse(site: SiteFile) -> None:
    """Only compute (needs the InfluxDB store)."""
    _run(site, ("analyse",))


@app.command()
def alert(site: SiteFile) -> None:
    """Only watch limits and deliver alerts (needs the InfluxDB store)."""
    _run(site, ("alert",))


@app.command()
def serve(site: SiteFile) -> None:
    """Only the API and the page (needs the InfluxDB store)."""
    _run(site, ("serve",))


def _run(path: Path, roles: tuple[str, ...]) -> None:
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415  (help stays quick)
    from potwatt.program import Program, run_until_signal  # noqa: PLC0415

    loaded = load_site(path)
    program = Program(loaded, secrets_of(loaded.site), roles)
    uvloop.run(run_until_signal(program, on_ready=lambda: console.print(program.greeting())))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("site.toml"),
) -> None:
    """Write a commented site file to start from."""
    if path.exists():
        raise ConfigErrorLine(f"{path} exists; it was left as it is. Name another file, or move that one away.")
    path.write_text((resources.files("potwatt") / "site_template.toml").read_text("utf-8"), "utf-8")
    console.print(f"Wrote {path}. Edit it, then: potwatt check {path}")


@app.command()
def check(site: SiteFile) -> None:
    """List everything that is wrong with a site file: file, key, what was found, what is allowed."""
    from collector.mqtt_checks import losses  # noqa: PLC0415
    from collector.topic_checks import unknown_spacing  # noqa: PLC0415
    from collector.wire_checks import slow_lines  # noqa: PLC0415
    from potwatt.gauge_checks import gauge_notes  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415
    from potwatt.program import check_roles  # noqa: PLC0415

    loaded = load_site(site)
    secrets_of(loaded.site)
    check_roles(loaded, ROLES)
    found = loaded.site
    console.print(
        f"{site} is right: {len(found.buses)} bus sections, {len(found.branches)} branches, {len(found.points)} metering points, "
        f"{len(found.meters)} meters on {len(found.endpoints)} endpoints, {len(found.potlines)} potlines; "
        f"store {found.store.kind}, edition {found.edition}.",
        soft_wrap=True,
    )
    for note in (*losses(found), *unknown_spacing(found, loaded.profiles), *slow_lines(found, loaded.profiles)):
        console.print(f"Note: {note}.")
    for note in gauge_notes(found, loaded.profiles):
        console.print(f"Note: {note}.", markup=False, soft_wrap=True)
    for fault in loaded.drafts:
        console.print(f"Note: no meter uses this profile, which is not sound: {fault}", markup=False, soft_wrap=True)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV file with history.")],
    mapping: Annotated[Path, typer.Option(help="How its columns are to be read.")],
    site: SiteOption,
) -> None:
    """Take in historical readings; importing the same file again changes nothing."""
    from potwatt.imports import import_history  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415

    loaded = load_site(site)
    asyncio.run(import_history(loaded, secrets_of(loaded.site), file, mapping, console))


@app.command()
def report(
    kind: Annotated[str, typer.Argument(help="day, month or year")],
    period: Annotated[str, typer.Argument(help="2026-11-20, 2026-11 or 2026")],
    site: SiteOption,
) -> None:
    """Print a report as JSON, without a running service."""
    from potwatt.imports import print_report  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415

    loaded = load_site(site)
    asyncio.run(print_report(loaded, secrets_of(loaded.site), kind, period))


@app.command()
def close(
    kind: Annotated[str, typer.Argument(help="day, month or year")],
    period: Annotated[str, typer.Argument(help="2026-11-20, 2026-11 or 2026")],
    site: SiteOption,
    who: Annotated[str, typer.Option(help="Who closes it.")],
    cause: Annotated[str, typer.Option(help="Why, for a period that was closed before.")] = "first closing",
    early: Annotated[bool, typer.Option("--early", help="Do not wait for the days that late documents are given.")] = False,
) -> None:
    """Freeze a report: from then on a change is a new version with its cause, the old one stays."""
    from potwatt.imports import Closing, close_report  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415

    loaded = load_site(site)
    asyncio.run(
        close_report(loaded, secrets_of(loaded.site), kind, period, Closing(who, cause, "waived" if early else "kept"), console)
    )


@ledger_app.command("import")
def ledger_import(
    file: Annotated[Path, typer.Argument(help="CSV: kind, subject, time, amount, unit, who, document, ...")],
    site: SiteOption,
) -> None:
    """Take in ledger entries; an entry that is already there counts once."""
    from potwatt.imports import import_ledger  # noqa: PLC0415
    from potwatt.load import load_site  # noqa: PLC0415

    asyncio.run(import_ledger(load_site(site), file, console))


@dashboards_app.command("write")
def dashboards_write(
    site: SiteFile,
    folder: Annotated[Path, typer.Option(help="Where to write the JSON files.")] = Path("dashboards-json"),
) -> None:
    """Write the dashboards as files for Grafana's provisioning."""
    from dashboards.build import write_dashboards  # noqa: PLC0415
    from potwatt.load import load_site  # noqa: PLC0415

    loaded = load_site(site)
    for path in write_dashboards(loaded.site, loaded.rulebook, folder):
        console.print(f"Wrote {path}")


@dashboards_app.command("publish")
def dashboards_publish(
    site: SiteFile,
    url: Annotated[str, typer.Option(help="Address of Grafana.")] = "http://127.0.0.1:3000",
    token_env: Annotated[str, typer.Option(help="Environment variable with a service account token.")] = "GRAFANA_TOKEN",  # noqa: S107  (the name of a variable, not a secret)
) -> None:
    """Put the dashboards and their data sources into Grafana."""
    from potwatt.imports import publish_dashboards  # noqa: PLC0415
    from potwatt.load import load_site, secrets_of  # noqa: PLC0415

    loaded = load_site(site)
    publish_dashboards(loaded, secrets_of(loaded.site), url, token_env, console)


@keys_app.command("add")
def keys_add(
    file: Annotated[Path, typer.Argument(help="Keys file that the site names under [api] keys_file.")],
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    role: Annotated[str, typer.Option(help="viewer or editor")] = "viewer",
) -> None:
    """Make a key, print it once, keep only its hash."""
    from api.auth import add_key  # noqa: PLC0415

    console.print(f"Key of {name} ({role}), shown this once:\n{add_key(file, name, role)}")


class ConfigErrorLine(PotwattError):
    """A refusal of one sentence."""

    fault = "user"


def _version(value: bool) -> None:
    if value:
        console.print(metadata.version("potwatt"))
        raise typer.Exit


@app.callback()
def root(
    _version_asked: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Options before the command."""
    logs.set_up()


def main() -> None:
    """Entry point: errors meant for the user are printed as sentences, not as traces; exit status 2."""
    try:
        app()
    except ConfigError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        print(f"{len(error.faults)} fault{'s' if len(error.faults) != 1 else ''} found.", file=sys.stderr)
        sys.exit(2)
    except PotwattError as error:
        print(f"potwatt: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"potwatt: {where}{error.strerror or error}; check that the path exists and may be written", file=sys.stderr)
        sys.exit(2)
