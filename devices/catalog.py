"""The profiles of the package and those of a site."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from devices.profile import Profile, parse_profile
from plant.errors import ConfigError, Fault


def shipped_profiles() -> dict[str, Profile]:
    """The profiles of the package by id. Raises ConfigError, which for shipped files is a fault of the package."""
    folder = resources.files("devices") / "profiles"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return profiles_from_texts({f.name: f.read_text("utf-8") for f in files})


def profiles_from_texts(texts: Mapping[str, str]) -> dict[str, Profile]:
    """Profiles by id from the texts of profile files by file name.

    Raises ConfigError with the faults of all files; the id of a profile is the name of its file.
    """
    profiles: dict[str, Profile] = {}
    faults: list[Fault] = []
    for file, text in texts.items():
        try:
            profile = parse_profile(text, file)
        except ConfigError as error:
            faults += error.faults
            continue
        stem = file.rpartition("/")[2].removesuffix(".toml")
        if profile.id != stem:
            faults.append(Fault(file, "profile.id", repr(profile.id), f"the name of the file: {stem!r}"))
        elif profile.id in profiles:
            faults.append(Fault(file, "profile.id", repr(profile.id), "an id used once"))
        profiles[profile.id] = profile
    if faults:
        raise ConfigError(faults)
    return profiles
