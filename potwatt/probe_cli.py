"""`potwatt probe`: what answers at one address, and how its registers are to be read."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from collector.claim import claim, names_of
from collector.modbus_line import ModbusLine
from collector.probe import AGAIN_AFTER_S, REQUESTS_PER_S_MAX, ProbePlan, Prober, ProbeResult, UnitFindings
from collector.probe_match import Fit, fits
from devices.catalog import shipped_profiles
from devices.draft import draft_of_guesses
from devices.guess import guesses
from devices.maps import Profile
from devices.plausible import margin_bits, rank
from plant.errors import InputError, TransportError
from plant.site import Endpoint
from potwatt.load import Loaded, load_site
from potwatt.running import is_running

TIMEOUT_S = 2.0
SURE_BITS = 5.0
console = Console(highlight=False, soft_wrap=True)

ProbedTable = Literal["holding", "input"]


def probe(
    host: Annotated[str, typer.Argument(help="One host or address, with a port where it is not 502. Not with --serial.")] = "",
    units: Annotated[str, typer.Option(help="Unit numbers: 3, 1-10 or 1,4,7-9.")] = "1",
    addresses: Annotated[
        str, typer.Option(help="Zero-based addresses to read, as 0-200; without, only SunSpec is looked for.")
    ] = "",
    table: Annotated[ProbedTable, typer.Option(help="The table to read the addresses of.")] = "holding",
    serial: Annotated[str, typer.Option(help="A serial port in place of a host.")] = "",
    baud_rate: Annotated[int, typer.Option(help="Of the serial port.", min=300, max=921_600)] = 9600,
    parity: Annotated[Literal["none", "even", "odd"], typer.Option(help="Of the serial port.")] = "even",
    framing: Annotated[Literal["tcp", "rtu"], typer.Option(help="rtu: serial frames over TCP.")] = "tcp",
    skip_sunspec: Annotated[bool, typer.Option("--skip-sunspec", help="Read the addresses alone.")] = False,
    site: Annotated[
        Path | None, typer.Option(help="A site file: its endpoints are left alone while a program reads them.")
    ] = None,
    draft: Annotated[Path | None, typer.Option(help="Write a profile draft of what is most plausible to this file.")] = None,
) -> None:
    """Ask one device what it is: reads only, one request at a time, two a second at most, ends at the first trouble."""
    endpoint = _endpoint(host, serial, baud_rate, parity, framing)
    numbers = _units(units, serial)
    span = _addresses(addresses)
    if skip_sunspec and not span:
        raise InputError("--skip-sunspec leaves nothing to ask for; name --addresses too, such as 0-200")
    if draft is not None and draft.exists():
        raise InputError(f"{draft} exists; it was left as it is. Name another file, or move that one away")
    plan = ProbePlan(numbers, "skip" if skip_sunspec else "walk", table, span)
    if plan.requests[0] > plan.requests_max:
        needs = f"that takes {plan.requests[0]} requests at the least, and a probe sends {plan.requests_max} at most"
        raise InputError(f"{needs}: name fewer units or addresses")
    loaded = None if site is None else load_site(site)
    result = asyncio.run(_run(endpoint, plan, loaded))
    profiles = shipped_profiles() if loaded is None else loaded.profiles
    for findings in result.units:
        _show(findings, plan, profiles, draft)
    if result.trouble:
        raise TransportError(f"the probe ended after {result.requests} requests: {result.trouble}")
    console.print(f"{result.requests} requests, no trouble.")


async def _run(endpoint: Endpoint, plan: ProbePlan, loaded: Loaded | None) -> ProbeResult:
    line = ModbusLine(endpoint)
    names = await names_of(endpoint)
    held = claim(names)
    try:
        if held.taken:
            by = next(iter(held.taken.values()))
            raise InputError(f"{line.where} is read by {by} on this machine; stop that first, or use `potwatt read METER`")
        await _refuse_site_endpoints(loaded, names)
        _announce(line.where, plan)
        await line.connect()
        return await Prober(line, plan, line.where, told=lambda text: console.print(f"  {text}", style="dim")).run()
    finally:
        line.close()
        held.release()


async def _refuse_site_endpoints(loaded: Loaded | None, names: tuple[str, ...]) -> None:
    """An endpoint of the site is left alone while anything reads the site, even from where no claim is seen."""
    if loaded is None or not is_running(loaded):
        return
    for endpoint in loaded.site.endpoints.values():
        if set(names) & set(await names_of(endpoint)):
            raise InputError(
                f"endpoint {endpoint.id} of the site is read by the running program; stop it, or use `potwatt read METER`"
            )


def _announce(where: str, plan: ProbePlan) -> None:
    fewest, most = plan.requests
    what = [] if plan.walk == "skip" else ["SunSpec's marker at 40000, 50000 and 0 (then its list of models)"]
    if plan.addresses:
        what.append(f"{plan.table} registers {plan.addresses.start}-{plan.addresses.stop - 1} twice, {AGAIN_AFTER_S:g} s apart")
    console.print(f"{where}, unit{'s' if len(plan.units) > 1 else ''} {', '.join(map(str, plan.units))}: {' and '.join(what)}.")
    console.print(
        f"Reads only, one request at a time, at most {REQUESTS_PER_S_MAX:g} a second, {fewest} to {most} requests: "
        f"{fewest / REQUESTS_PER_S_MAX:.0f} to {most / REQUESTS_PER_S_MAX:.0f} s. Ends at the first trouble. Ctrl-C stops it."
    )


def _show(findings: UnitFindings, plan: ProbePlan, profiles: dict[str, Profile], draft: Path | None) -> None:
    console.print(f"\nUnit {findings.unit}", style="bold")
    if findings.chain.models:
        models = ", ".join(f"{m.model} at {m.base_address} ({m.length} words)" for m in findings.chain.models)
        console.print(f"  SunSpec models: {models}")
    elif plan.walk == "walk":
        console.print(f"  SunSpec: {findings.chain.in_words}")
    matched = fits(profiles.values(), findings.image)
    _show_fits(matched)
    registers = findings.registers(plan.table, plan.addresses)
    if registers is None:
        if not matched and not plan.addresses:
            console.print("  No shipped profile fits. Name --addresses to read registers and rank how they can be read.")
        return
    if findings.refused:
        console.print(f"  Not there: {', '.join(f'{r.address}-{r.end - 1}' for r in findings.refused)}")
    ranked = rank(registers)
    console.print("  How the registers can be read, the most plausible first:")
    for hypothesis in ranked[:4]:
        numbers = f"{len(hypothesis.address)} numbers, {hypothesis.saved_bits:.0f} bits explained"
        console.print(f"    {hypothesis.type} {hypothesis.order.value}: {numbers}")
    if margin_bits(ranked) < SURE_BITS:
        console.print("    The first two are close: probe again while the load moves, or name a wider range.")
    found = guesses(ranked[0])
    value = {int(a): ranked[0].value[-1, i] for i, a in enumerate(ranked[0].address)}
    for guess in found:
        console.print(f"    {guess.address:>5} {guess.name} = {value[guess.address] * guess.scale:g} {guess.unit} ({guess.why})")
    for address, number in value.items():
        if address not in {guess.address for guess in found}:
            console.print(f"    {address:>5} {number:g}", style="dim")
    if draft is not None and not found:
        console.print("  Nothing was recognised, so there is no draft to write: use the maker's list with `potwatt devices add`.")
    elif draft is not None and not draft.exists():
        draft.write_text(draft_of_guesses(draft.stem, found, plan.table), "utf-8")
        console.print(f"  Wrote {draft}: compare every value with the display with `potwatt read {draft} --host HOST --unit N`.")


def _show_fits(matched: list[Fit]) -> None:
    for fit in matched[:3]:
        word = "fits" if fit.definite else "may fit"
        own = " (the device says so itself)" if fit.identified else ""
        console.print(f"  Profile {fit.profile.id} {word}{own}: {fit.plausible} of {len(fit.values)} values are plausible")
    if matched and matched[0].definite:
        values = ", ".join(f"{name} {value:g}" for name, value in list(matched[0].values.items())[:6])
        console.print(f"    {matched[0].profile.id}: {values}, ...")


def _endpoint(host: str, serial: str, baud_rate: int, parity: str, framing: str) -> Endpoint:
    if bool(host) == bool(serial):
        raise InputError("name one host, as 10.0.0.5 or 10.0.0.5:502, or one serial port with --serial")
    if serial:
        return Endpoint("probe", "modbus_rtu", "", 0, TIMEOUT_S, serial_port=serial, baud_rate=baud_rate, parity=parity)
    name, port = host_and_port(host, 502)
    return Endpoint("probe", "modbus_tcp" if framing == "tcp" else "modbus_rtu_over_tcp", name, port, TIMEOUT_S)


def host_and_port(text: str, default: int) -> tuple[str, int]:
    """One unicast host with its port. Raises InputError for ranges, networks, broadcast and multicast addresses."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s/,]+)(?::(\d{1,5}))?", text)
    if not found or not 1 <= int(found[2] or default) <= 65_535:
        raise InputError(f"{text!r} is no single host with a port; write 10.0.0.5, 10.0.0.5:502, gateway-3:502 or [fd00::5]:502")
    name = found[1].strip("[]")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        last_label = name.rstrip(".").rpartition(".")[2]
        if re.fullmatch(r"[\d.*-]+", name) or re.fullmatch(r"\d+|0[xX][0-9a-fA-F]*", last_label):  # 0x7f.1 is 127.0.0.1
            raise InputError(f"{name!r} is no address; name one host, such as 10.0.0.5, not a range of them") from None
        return name, int(found[2] or default)
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_multicast or address.is_unspecified or (address.version == 4 and address.is_reserved):
        raise InputError(f"{name} is not the address of one device (broadcast, multicast or unspecified); name one host")
    if address.version == 4 and address.packed[-1] in (0, 255):
        raise InputError(f"{name} is a network's or its broadcast address in most networks; where it is a host, give its name")
    return name, int(found[2] or default)


def _units(text: str, serial: str) -> tuple[int, ...]:
    """Unit numbers in order. Raises InputError for 0, which every unit obeys, and for what is no unit."""
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,3})(?:\s*-\s*(\d{1,3}))?\s*", part)
        if not found:
            raise InputError(f"units {text!r} cannot be read; write 3, 1-10 or 1,4,7-9")
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise InputError(f"units {part.strip()!r} run backwards; write {last}-{first}")
        numbers += range(first, last + 1)
    for number in numbers:
        if not 1 <= number <= 247 and (number != 255 or serial):
            why = "is the broadcast that every unit obeys" if number == 0 else "is no unit"
            raise InputError(f"unit {number} {why}; units are 1 to 247, and 255 for a device on TCP itself")
    return tuple(dict.fromkeys(numbers))


def _addresses(text: str) -> range:
    """Zero-based addresses, both ends included. Raises InputError."""
    if not text:
        return range(0)
    found = re.fullmatch(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", text)
    if not found or not int(found[1]) <= int(found[2]) <= 65_535:
        raise InputError(f"addresses {text!r} cannot be read; write them as 0-200: zero-based, low to high, up to 65535")
    return range(int(found[1]), int(found[2]) + 1)
