"""`potwatt read`: one meter live, what it sends beside what that means; and the reading as the proof of a profile."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from collector.claim import claim, names_of
from collector.look import Look, Message, PolledLook, messages
from devices.catalog import sunspec_definition
from devices.dlt645 import Dlt645Point
from devices.dlt645_frame import DataRequest
from devices.draft import golden_lines, with_golden, words_by_address, words_by_label
from devices.golden import values_of_words
from devices.maps import Profile
from devices.plan import ReadRequest
from devices.profile import parse_profile
from plant.errors import ConfigError, InputError
from plant.frame import FrameBlock
from plant.quality import Quality
from plant.quantities import QUANTITIES
from plant.site import Endpoint, Meter
from potwatt.clock import SystemClock
from potwatt.load import Loaded, load_site, secrets_of
from potwatt.probe_cli import host_and_port
from potwatt.running import is_running, last_reading

console = Console(highlight=False, soft_wrap=True)
HASTE_S = 0.5  # between readings at the least


def read(
    meter: Annotated[str, typer.Argument(help="A meter of the site, or with --host a profile file.")],
    site: Annotated[Path | None, typer.Option("--site", help="The site file.")] = None,
    host: Annotated[str, typer.Option(help="For a profile file: the device, as 10.0.0.5 or 10.0.0.5:502.")] = "",
    serial: Annotated[str, typer.Option(help="For a profile file: the serial port in place of a host.")] = "",
    unit: Annotated[int, typer.Option(help="For a profile file: the unit.", min=1, max=255)] = 1,
    once: Annotated[bool, typer.Option("--once", help="One reading, not one every poll interval.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Every request and answer in hexadecimal too.")] = False,
    golden: Annotated[bool, typer.Option("--golden", help="Print the reading as a [[golden]] block of the profile.")] = False,
    write: Annotated[bool, typer.Option("--write", help="With --golden and a profile draft: fill its empty block.")] = False,
) -> None:
    """Show one meter live: raw words or payload, values, units, quality, limits. Nothing is stored."""
    if write and not (golden and site is None):
        raise InputError("--write fills the empty golden block of a profile file: give the file, --host and --golden with it")
    loaded, endpoint, found, profile = _target(meter, site, host, serial, unit)
    how = "once" if once or golden else "live"
    if endpoint.protocol == "mqtt":
        asyncio.run(_listen(loaded, endpoint, found, profile, how))
        return
    look = asyncio.run(_poll(loaded, endpoint, found, profile, how, raw))
    if golden and look is None:
        raise InputError("the running program has the meter, and only the meter itself gives the words; stop it for a moment")
    if golden and look is not None:
        block = golden_block(profile, look)
        print("\n".join(block))
        if write:
            path = Path(meter)
            proven = with_golden(path.read_text("utf-8"), block)
            try:
                parse_profile(proven, str(path), definition_of=sunspec_definition)
            except ConfigError as error:
                raise InputError(f"the reading does not prove the profile, and the file was left as it is: {error}") from error
            path.write_text(proven, "utf-8")
            console.print(
                f"Wrote it into {path}; `potwatt check` takes the profile now. Has every value been compared with the display?"
            )


def _target(meter: str, site: Path | None, host: str, serial: str, unit: int) -> tuple[Loaded | None, Endpoint, Meter, Profile]:
    if site is not None:
        loaded = load_site(site)
        if meter not in loaded.site.meters:
            raise InputError(f"{site} has no meter {meter!r}; it has {', '.join(list(loaded.site.meters)[:8])}, ...")
        found = loaded.site.meters[meter]
        endpoint = loaded.site.endpoints[found.endpoint]
        if endpoint.protocol == "import":
            raise InputError(f"{meter} is imported from files; there is nothing to read live")
        return loaded, endpoint, found, loaded.profiles[found.profile]
    path = Path(meter)
    if not path.suffix == ".toml" or bool(host) == bool(serial):
        raise InputError("name a meter with --site site.toml, or a profile file with --host HOST (or --serial PORT) and --unit N")
    profile = parse_profile(path.read_text("utf-8"), str(path), proof="waived", definition_of=sunspec_definition)
    if profile.modbus is None:
        raise InputError(f"{path} is no Modbus profile; such a meter is read with --site")
    name, port = host_and_port(host, 502) if host else ("", 0)
    protocol = "modbus_rtu" if serial else "modbus_tcp"
    endpoint = Endpoint("look", protocol, name, port, 2.0, serial_port=serial)
    return None, endpoint, Meter(profile.id, profile.id, "look", unit), profile


async def _poll(loaded: Loaded | None, endpoint: Endpoint, meter: Meter, profile: Profile, how: str, raw: bool) -> Look | None:
    """The last reading, None where the running program has the endpoint and its last stored one was shown instead."""
    held = claim(await names_of(endpoint))
    try:
        is_polled = loaded is not None and await asyncio.to_thread(is_running, loaded)
        if held.taken or is_polled:  # a program in another network namespace has claims that are not seen here
            by = next(iter(held.taken.values()), "the running program")
            if loaded is None or not is_polled:
                raise InputError(
                    f"{endpoint.host or endpoint.serial_port} is read by {by}, and many devices take one connection: stop it"
                )
            await _show_stored(loaded, meter, profile, how, str(by))
            return None
        device = PolledLook(endpoint, meter, profile, SystemClock(), Path() if loaded is None else loaded.folder)
        try:
            await device.open()
            while True:
                look = await device.read()
                _show_look(profile, look, raw)
                if how == "once":
                    return look
                await asyncio.sleep(max(meter.poll_interval_s, HASTE_S))
        finally:
            device.close()
    finally:
        held.release()


async def _show_stored(loaded: Loaded, meter: Meter, profile: Profile, how: str, by: str) -> None:
    console.print(
        f"The endpoint is read by {by}: its last stored reading is shown, not a second connection opened; no raw words."
    )
    while True:
        found = await asyncio.to_thread(last_reading, loaded, meter, profile)
        value = {n: math.nan if v is None else v for n, v in found.value.items()}
        for t_ns in sorted({found.t_ns, *found.older.values()}):
            names = [name for name in profile.quantities if found.older.get(name, found.t_ns) == t_ns]
            _show_values(profile, t_ns, [(name, value[name], found.quality[name], "") for name in names])
        if how == "once":
            return
        await asyncio.sleep(max(meter.poll_interval_s, 1.0))


async def _listen(loaded: Loaded | None, endpoint: Endpoint, meter: Meter, profile: Profile, how: str) -> None:
    assert loaded is not None, "a profile file alone is Modbus"
    secrets = secrets_of(loaded.site)
    stream = messages(endpoint, meter, profile, plant=loaded.site.id, clock=SystemClock(), secrets=secrets, folder=loaded.folder)
    console.print(f"Listening to broker {endpoint.host}:{endpoint.port} with a session of its own; Ctrl-C ends it.")
    async for message in stream:
        _show_message(profile, message)
        if how == "once" and message.blocks:
            break
    await stream.aclose()


def _show_message(profile: Profile, message: Message) -> None:
    retained = ", retained" if message.retained else ""
    console.print(f"\n{message.topic} ({len(message.payload)} bytes{retained})", style="bold")
    console.print("  " + message.payload[:2000].decode("utf-8", "backslashreplace"), markup=False)
    if message.refused:
        console.print(f"  cannot be read: {message.refused}", markup=False)
    for block in message.blocks:
        for row in range(len(block)):
            _show_values(profile, int(block.t_ns[row]), _rows(block, row, {}))


def _show_look(profile: Profile, look: Look, raw: bool) -> None:
    took = ", ".join(f"{asked.took_ms:.1f}" for asked in look.asked)
    console.print(f"\n{len(look.asked)} request{'s' if len(look.asked) != 1 else ''}: {took} ms", style="bold")
    if raw:
        for asked in look.asked:
            console.print(f"  {_asked_for(asked.request)}: {asked.in_words}", markup=False)
    if look.refusals:
        console.print(f"  {look.refusals}", markup=False)
    _show_values(profile, int(look.block.t_ns[0]), _rows(look.block, 0, _words_of_points(profile, look)))


def _asked_for(request: object) -> str:
    if isinstance(request, DataRequest):
        return f"data {request.di}" + (f", part {request.sequence + 1}" if request.sequence else "")
    return f"{request.table} {request.address}-{request.end - 1}" if isinstance(request, ReadRequest) else str(request)


def _rows(block: FrameBlock, row: int, words: dict[str, str]) -> list[tuple[str, float, int, str]]:
    cells = zip(block.quantities, block.value[row].tolist(), block.quality[row].tolist(), strict=True)
    return [(name, value, quality, words.get(name, "")) for name, value, quality in cells]


def _show_values(profile: Profile, t_ns: int, rows: Sequence[tuple[str, float, int, str]]) -> None:
    """A line a quantity: raw words, value, unit, quality, limits."""
    at = datetime.fromtimestamp(t_ns / 1e9, UTC).astimezone()
    console.print(f"  {at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"{at:%z}", style="dim")
    raw_width = max((len(words) for *_, words in rows), default=0)
    name_width = max(len(name) for name, *_ in rows)
    for name, value, quality, words in rows:
        limits = profile.limits.get(name)
        span = "" if limits is None else f"  [{limits.low:g} to {limits.high:g}]"
        number = "missing" if math.isnan(value) else f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.3f}"
        flags = "" if not quality else f"  {quality_in_words(quality)}"
        console.print(
            f"  {words.ljust(raw_width)}  {name.ljust(name_width)} {number:>16} {QUANTITIES[name].unit}{flags}{span}",
            markup=False,
        )


def quality_in_words(quality: int) -> str:
    """The names of the bits, in small letters."""
    return ", ".join(bit.name.lower() for bit in Quality(quality) if bit.name) or "good"


def _words_of_points(profile: Profile, look: Look) -> dict[str, str]:
    """Raw words or bytes in hexadecimal by quantity; in brackets those of a moving scale factor."""
    if profile.dlt645 is not None:
        data = dict(zip(profile.dlt645.requests, look.raw, strict=True))
        return {p.name: _bytes_of(p, data[p.di]) for p in profile.dlt645.points}
    if profile.modbus is None:
        return {}
    words = words_by_address(profile, _words(look))
    found: dict[str, str] = {}
    for point in profile.modbus.points:
        own = " ".join(_hex(words.get((point.table, point.address + i))) for i in range(point.words))
        factor = "" if point.sf_at is None else f" [{_hex(words.get((point.table, point.sf_at)))}]"
        found[point.name] = own + factor
    return found


def _bytes_of(point: Dlt645Point, data: bytes | None) -> str:
    """The bytes of a value as they came, the lowest digits first."""
    return "--" if data is None else data[point.at * point.size : (point.at + 1) * point.size].hex(" ").upper()


def _hex(word: int | None) -> str:
    return "----" if word is None else f"{word:04X}"


def _words(look: Look) -> list[int | None]:
    """The words of the plan, None where the meter refuses them."""
    assert look.came is not None, "a Modbus reading"
    return [word if came else None for word, came in zip(look.raw.tolist(), look.came.tolist(), strict=True)]


def golden_block(profile: Profile, look: Look) -> list[str]:
    """The reading as a golden block: words or frames, the values they mean, what is missing. Raises InputError for payloads."""
    if profile.modbus is None and profile.dlt645 is None:
        raise InputError("golden blocks are made of what is polled; of a payload, put the message itself into `payload`")
    values = dict(zip(profile.quantities, look.block.value[0].tolist(), strict=True))
    gone = [name for name, value in values.items() if math.isnan(value)]
    if gone:
        console.print(
            f"missing now, and so not proven: {', '.join(gone)}; take those points out, or read again when they are there"
        )
    origin = f"reading of a device on {time.strftime('%Y-%m-%d', time.gmtime())} with `potwatt read`"
    if profile.modbus is None:
        frames = [asked.frame.hex(" ").upper() for asked in look.asked if asked.frame]
        return golden_lines(origin, {}, {n: v for n, v in values.items() if n not in gone}, gone, frames)
    states = {p.name: p.states for p in profile.modbus.points if p.states}
    expect = {n: states.get(n, {}).get(int(v), v) for n, v in values.items() if n not in gone}
    table = profile.modbus.points[0].table
    words = words_by_label(profile, _words(look), table)
    again = values_of_words(profile, words, table)  # of a refused register nothing is said, unless its absence decodes so
    return golden_lines(origin, words, expect, [name for name in gone if math.isnan(again[name])])
