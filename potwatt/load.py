"""From files on disk to a checked site with its profiles and rules."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from devices.catalog import shipped_profiles, sort_out
from devices.plan import guards, plan_reads
from devices.profile import Profile
from plant.config import neighbours, parse_site
from plant.errors import ConfigError, Fault
from plant.rulebook import Rulebook, parse_rules, shipped_rule_texts
from plant.site import Site


@dataclass(frozen=True, slots=True)
class Loaded:
    """A site with everything its file refers to; ``folder`` is where relative paths start, ``name`` what to call
    the file in a fault. ``drafts`` are the faults of files in its folder of profiles that no meter uses."""

    site: Site
    profiles: dict[str, Profile]
    rulebook: Rulebook
    folder: Path
    name: str = "site file"
    drafts: tuple[Fault, ...] = ()

    @property
    def data_dir(self) -> Path:
        """Where spool, store and ledger live."""
        return self.folder / self.site.data_dir


def load_site(path: Path) -> Loaded:
    """Read and check a site file. Raises ConfigError with every fault found."""
    text = _read(path, "the site file")
    folder = path.resolve().parent
    return load_text(text, str(path), folder)


def load_text(text: str, name: str, folder: Path) -> Loaded:
    """The same from a text; files it names are looked up in ``folder``."""
    beside = neighbours(text)
    tables = {file: _read(folder / file, "a table of the site file") for file in beside.tables if (folder / file).is_file()}
    profiles = dict(shipped_profiles())
    faulty: dict[str, list[Fault]] = {}
    if beside.profiles_dir:
        own, faulty = sort_out(_folder(folder / beside.profiles_dir, name, "plant.profiles_dir"))
        profiles |= own
    try:
        site = parse_site(text, name, tables=tables, known_profiles={p.id: p.protocol for p in profiles.values()})
    except ConfigError as error:
        raise ConfigError(_with_causes(error.faults, faulty)) from error
    used = {meter.profile for meter in site.meters.values()}
    if faults := _of_profiles(faulty, used):  # its own file, though faulty, stands before the package's of that name
        raise ConfigError(faults)
    if faults := _rate_faults(site, profiles, name):
        raise ConfigError(faults)
    rules = shipped_rule_texts()
    if beside.rules_dir:
        rules |= _folder(folder / beside.rules_dir, name, "plant.rules_dir")
    return Loaded(site, profiles, parse_rules(rules), folder, name, tuple(_of_profiles(faulty, set(faulty) - used)))


def _of_profiles(faulty: Mapping[str, list[Fault]], ids: AbstractSet[str]) -> list[Fault]:
    return [fault for id_, faults in faulty.items() if id_ in ids for fault in faults]


def _with_causes(faults: Sequence[Fault], faulty: Mapping[str, list[Fault]]) -> list[Fault]:
    """The faults of a site file; where a meter names a profile that is not there since its file is faulty, that file's."""
    named = {id_ for fault in faults if fault.key.endswith(".profile") for id_ in faulty if fault.found == repr(id_)}
    others = [f for f in faults if not (f.key.endswith(".profile") and f.found in map(repr, named))]
    return [*others, *_of_profiles(faulty, named)]


def _rate_faults(site: Site, profiles: Mapping[str, Profile], name: str) -> list[Fault]:
    """Endpoints whose meters need more requests a second than they may have: they would never be read in time."""
    needed = dict.fromkeys(site.endpoints, 0.0)
    for meter in (m for m in site.meters.values() if m.profile in profiles):  # not those that files alone speak of
        needed[meter.endpoint] += _requests_a_poll(profiles[meter.profile]) / meter.poll_interval_s
    return [
        Fault(
            name,
            f"endpoint[{e.id}].requests_per_s_max",
            f"{e.requests_per_s_max:g}",
            f"at least {needed[e.id]:g}, since its meters' profiles make that many requests a second, or longer poll_interval_s",
        )
        for e in site.endpoints.values()
        if e.requests_per_s_max and needed[e.id] > e.requests_per_s_max * (1 + 1e-9)
    ]


def _requests_a_poll(profile: Profile) -> int:
    """What one reading takes of a meter that refuses nothing; 0 where nothing is asked."""
    if profile.dlt645 is not None:
        return len(profile.dlt645.requests)
    if profile.modbus is None:
        return 0
    plan = plan_reads(profile.modbus)
    return len(plan) + len(guards(profile.modbus, plan))


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError([Fault(str(path), "file", "nothing", f"{what}; `potwatt init` writes one to start from")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), "file", str(error), f"{what} must be readable UTF-8 text")]) from None


def _folder(path: Path, file: str, key: str) -> dict[str, str]:
    if not path.is_dir():
        raise ConfigError([Fault(file, key, repr(str(path)), "a folder of TOML files")])
    return {f.name: _read(f, "a file of that folder") for f in sorted(path.glob("*.toml"))}


def wraps_of(loaded: Loaded) -> dict[tuple[str, str], float | None]:
    """Where the registers of each meter begin anew, by its profile."""
    known = {m.id: loaded.profiles[m.profile] for m in loaded.site.meters.values() if m.profile in loaded.profiles}
    return {(meter, quantity): p.wraps_at(quantity) for meter, p in known.items() for quantity in p.quantities}


def secrets_of(site: Site, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Values of the environment variables that the site names. Raises ConfigError naming those that are not set."""
    found = os.environ if environment is None else environment
    wanted = {
        "store.password_env": site.store.password_env,
        "store.token_env": site.store.token_env,
        "alerts.urls_env": site.alerts.urls_env,
        **{f"mirror[{m.id}].password_env": m.store.password_env for m in site.mirrors},
        **{f"mirror[{m.id}].token_env": m.store.token_env for m in site.mirrors},
        **{f"endpoint[{e.id}].password_env": e.password_env for e in site.endpoints.values()},
    }
    missing = [
        Fault("environment", key, f"{name} not set", "export the secret under that name before starting")
        for key, name in wanted.items()
        if name and name not in found
    ]
    if missing:
        raise ConfigError(missing)
    return {name: found[name] for name in wanted.values() if name}
