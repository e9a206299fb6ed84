"""The document of the shipped profiles is what the profiles say."""

from __future__ import annotations

from devices.catalog import shipped_profiles
from potwatt.profile_table import TARGET, page


def test_the_document_lists_the_shipped_profiles_as_they_are() -> None:
    profiles = shipped_profiles()
    assert TARGET.read_text("utf-8") == page(profiles), "run `python -m potwatt.profile_table` and commit docs/profiles.md"
    assert all(f"`{name}`" in page(profiles) for name in profiles)
