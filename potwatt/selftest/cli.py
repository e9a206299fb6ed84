"""`potwatt selftest`: proof on the user's own machine."""

from __future__ import annotations

import logging
import random
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from potwatt import logs

selftest_app = typer.Typer(help="Proof on your own machine, with a throw-away plant.", no_args_is_help=True)
console = Console(highlight=False)


@selftest_app.callback()
def selftest() -> None:
    """Proof on your own machine, with a throw-away plant."""


@selftest_app.command()
def outage(
    rate: Annotated[float, typer.Option(help="Readings a second over MQTT.", min=1, max=50_000)] = 2_000,
    seconds: Annotated[float, typer.Option(help="How long to disturb.", min=1)] = 60,
    store: Annotated[str, typer.Option(help="embedded, or an InfluxDB 1.x as http://127.0.0.1:8086.")] = "embedded",
    broker: Annotated[str, typer.Option(help="A broker of your own as host:port; else one is started.")] = "",
    username: Annotated[str, typer.Option(help="For the InfluxDB; the password from POTWATT_SELFTEST_PASSWORD.")] = "",
    seed: Annotated[int | None, typer.Option(help="Repeat the faults of a run.", min=0)] = None,
) -> None:
    """Kill the program and cut store and broker at random instants; nothing may be missing or be there twice."""
    from potwatt.selftest.outage import run_outage  # noqa: PLC0415  (help stays quick)
    from potwatt.selftest.stand import OutageSettings  # noqa: PLC0415

    logs.set_up(logging.ERROR)
    chosen = random.randrange(10**6) if seed is None else seed  # noqa: S311
    outcome = uvloop.run(run_outage(OutageSettings(rate, seconds, store, broker, chosen, username), console))
    if outcome is None:
        raise typer.Exit(130)
    if not outcome.holds:
        raise typer.Exit(1)


@selftest_app.command()
def truth(
    plants: Annotated[int, typer.Option(help="How many plants.", min=1)] = 10,
    days: Annotated[int, typer.Option(help="Days of each.", min=2, max=60)] = 30,
    faults: Annotated[str, typer.Option(help="none, all, or kinds of faults with commas in between.")] = "all",
    processes: Annotated[int, typer.Option(help="Processes at work.", min=1)] = 2,
    seed: Annotated[int | None, typer.Option(help="Repeat the plants of a run.", min=0)] = None,
) -> None:
    """Run whole simulated plants through faulty meters and hold every figure against the truth."""
    from plant.errors import InputError  # noqa: PLC0415  (help stays quick)
    from potwatt.selftest.truth import TruthSettings, run_truth  # noqa: PLC0415

    logs.set_up(logging.ERROR)
    chosen = random.randrange(10**6) if seed is None else seed  # noqa: S311
    try:
        holds = run_truth(TruthSettings(plants, days, chosen, faults, processes), console)
    except InputError as error:
        console.print(str(error))
        raise typer.Exit(2) from None
    if not holds:
        raise typer.Exit(1)


@selftest_app.command()
def suspects(
    healthy: Annotated[int, typer.Option(help="Plants in order.", min=1)] = 300,
    faulty: Annotated[int, typer.Option(help="Plants of each kind of fault.", min=1)] = 20,
    seed: Annotated[int | None, typer.Option(help="Repeat the plants of a run.", min=0)] = None,
) -> None:
    """Seeded plants with one faulty meter and with none: is the right meter named, and never a healthy one."""
    from potwatt.selftest.suspects import run  # noqa: PLC0415  (help stays quick)

    chosen = random.randrange(10**6) if seed is None else seed  # noqa: S311
    console.print(f"seed {chosen}")
    if not run(healthy, faulty, chosen, console):
        raise typer.Exit(1)
