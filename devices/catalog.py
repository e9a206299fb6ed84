"""The profiles of the package and those of a site, and the definitions of the SunSpec models that they name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

from devices.profile import Profile, parse_profile
from devices.sunspec_models import ModelDefinition, parse_definition
from plant.errors import ConfigError, Fault


def shipped_profiles() -> dict[str, Profile]:
    """The profiles of the package by id. Raises ConfigError, which for shipped files is a fault of the package."""
    return dict(_shipped())


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Profile]:
    folder = resources.files("devices") / "profiles"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return profiles_from_texts({f.name: f.read_text("utf-8") for f in files})


@lru_cache
def sunspec_definition(model: int) -> ModelDefinition:
    """The standard's own definition of a SunSpec model, from the installed pysunspec2. Raises KeyError where there is none."""
    file = resources.files("sunspec2") / "models" / "json" / f"model_{model}.json"
    if not file.is_file():
        raise KeyError(model)
    return parse_definition(json.loads(file.read_text("utf-8")))


def profiles_from_texts(texts: Mapping[str, str]) -> dict[str, Profile]:
    """Profiles by id from the texts of profile files by file name.

    Raises ConfigError with the faults of all files; the id of a profile is the name of its file.
    """
    profiles, faults = sort_out(texts)
    if faults:
        raise ConfigError([fault for found in faults.values() for fault in found])
    return profiles


def sort_out(texts: Mapping[str, str]) -> tuple[dict[str, Profile], dict[str, list[Fault]]]:
    """The sound profiles of those texts by id, and the faults of the others by the id that their file name gives them."""
    profiles: dict[str, Profile] = {}
    faults: dict[str, list[Fault]] = {}
    for file, text in texts.items():
        stem = file.rpartition("/")[2].removesuffix(".toml")
        try:
            profile = parse_profile(text, file, definition_of=sunspec_definition)
        except ConfigError as error:
            faults[stem] = list(error.faults)
            continue
        if profile.id == stem:
            profiles[stem] = profile
        else:
            faults[stem] = [Fault(file, "profile.id", repr(profile.id), f"the name of the file: {stem!r}")]
    return profiles, faults
