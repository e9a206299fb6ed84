"""`python -m potwatt.profile_table` writes docs/profiles.md anew from the shipped profiles; a test compares the two."""

from __future__ import annotations

from pathlib import Path

from devices.catalog import shipped_profiles
from devices.maps import Profile
from potwatt.devices_cli import table_of

TARGET = Path(__file__).parents[1] / "docs" / "profiles.md"


def page(profiles: dict[str, Profile]) -> str:
    """The whole document."""
    seen = [p for p in profiles.values() if p.proven]
    values, proven = sum(len(p.quantities) for p in seen), sum(len(p.proven) for p in seen)
    own = sum(p.id.startswith("sim_") for p in profiles.values())
    head = f"""# Shipped device profiles

Written by `python -m potwatt.profile_table` from `devices/profiles/`; not to be edited by hand.

{len(profiles)} profiles: {len(profiles) - own} of products and standard maps, and {own} simulated devices of our own (`sim_`).
*Proven* counts the values that a named recording of a real device or a worked example of the maker proves
({proven} of {values} in {len(seen)} profiles); all others were worked out from the map alone. `potwatt devices show ID` prints
one with its registers, requests and caveats; `potwatt devices --long` names the source of every map.

"""
    return head + table_of(profiles)


if __name__ == "__main__":
    TARGET.write_text(page(shipped_profiles()), "utf-8")
