"""Whether the profiles' requests fit into what an endpoint may be asked, as `potwatt check` sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from plant.errors import ConfigError
from potwatt.load import load_text

SITE = """
[plant]
id = "works"
name = {{ en = "Works" }}

[[bus]]
id = "b1"

[[endpoint]]
id = "line"
protocol = "dlt645_over_tcp"
host = "gateway"
port = 4001
requests_per_s_max = {rate}

[[meter]]
id = "m"
profile = "dlt645_2007_three_phase"
endpoint = "line"
address = "000000000001"
poll_interval_s = 10
serial = "A1"
"""


def test_a_cap_counts_requests_and_not_polls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"endpoint\[line\]\.requests_per_s_max: found 0\.5; at least 1\.1, since"):
        load_text(SITE.format(rate=0.5), "site.toml", tmp_path)


def test_a_cap_that_is_enough_passes_and_a_serial_number_is_kept(tmp_path: Path) -> None:
    loaded = load_text(SITE.format(rate=1.1), "site.toml", tmp_path)
    assert loaded.site.meters["m"].serial == "A1"
