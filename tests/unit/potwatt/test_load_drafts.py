"""A faulty profile in the site's folder refuses the meters that use it, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from plant.errors import ConfigError
from potwatt.load import load_text

SITE = """
[plant]
id = "works"
name = {{ en = "Works" }}
profiles_dir = "profiles"

[[bus]]
id = "b1"

[[endpoint]]
id = "gw"
protocol = "modbus_tcp"
host = "gateway"
port = 502

[[meter]]
id = "m"
profile = "{profile}"
endpoint = "gw"
unit = 1
poll_interval_s = {poll_s}
serial = "A1"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "begun.toml").write_text('[profile]\nid = "begun"\n')
    return tmp_path


def test_a_draft_that_no_meter_uses_is_told_and_stops_nothing(folder: Path) -> None:
    loaded = load_text(SITE.format(profile="eastron_sdm630", poll_s=10), "site.toml", folder)
    assert "begun" not in loaded.profiles
    assert {fault.file for fault in loaded.drafts} == {"begun.toml"}


@pytest.mark.parametrize("poll_s", [10, -1])
def test_a_meter_that_uses_it_is_refused_for_what_the_profile_lacks(folder: Path, poll_s: int) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(SITE.format(profile="begun", poll_s=poll_s), "site.toml", folder)
    assert "begun.toml" in {fault.file for fault in refused.value.faults}
    assert not any(fault.key == "meter[m].profile" for fault in refused.value.faults)


def test_a_faulty_file_with_the_name_of_a_shipped_profile_is_not_passed_over(folder: Path) -> None:
    (folder / "profiles" / "eastron_sdm630.toml").write_text('[profile]\nid = "eastron_sdm630"\n')
    with pytest.raises(ConfigError, match=r"eastron_sdm630\.toml"):
        load_text(SITE.format(profile="eastron_sdm630", poll_s=10), "site.toml", folder)
