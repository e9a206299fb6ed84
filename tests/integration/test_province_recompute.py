"""Plants' months computed anew from files: the same bytes from one worker and two, and a year that is the sum of its months."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import pytest

from plant.errors import ConfigError
from plant.rulebook import parse_rules, shipped_rule_texts
from potwatt.load import load_site
from potwatt.province import answer_of, answer_of_months, recomputed_answer
from potwatt.province_inputs import checked
from potwatt.province_recompute import recomputed

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from province_plants import make_plant

RULES = parse_rules(shipped_rule_texts())


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("province")
    for number in range(2):
        make_plant(folder / f"plant-{number}", number, feeders=2, year=2025, months=12, seed=5)
    return folder


def test_one_worker_and_two_give_the_same_bytes(province: Path) -> None:
    one, two = (recomputed_answer(province, "2025-02", RULES, workers=n, companies_min=1) for n in (1, 2))
    assert orjson.dumps(one) == orjson.dumps(two)
    figures = one["provinces"]["guizhou"]["figures"]
    assert figures["load_energy"]["value"] > 2e8
    assert figures["metal_produced"]["companies"] == 2
    assert 12_000 < figures["specific_energy_e1"]["value"] < 14_500


def test_a_year_is_the_sum_of_its_months(province: Path) -> None:
    months = [f"2025-{m:02}" for m in range(1, 13)]
    found = recomputed(province, months, 2)
    year = answer_of_months(found, "2025", RULES, companies_min=1, expected=())["provinces"]["guizhou"]["figures"]
    answers = [answer_of(checked(found[i::12], m), m, RULES, companies_min=1, expected=()) for i, m in enumerate(months)]
    by_month = [a["provinces"]["guizhou"]["figures"] for a in answers]
    for name in ("load_energy", "metal_produced", "rectifier_energy"):
        assert year[name]["value"] == pytest.approx(sum(m[name]["value"] for m in by_month), rel=1e-12)
    metal = [m["metal_produced"]["value"] for m in by_month]
    e1 = sum(m["specific_energy_e1"]["value"] * t for m, t in zip(by_month, metal, strict=True)) / sum(metal)
    assert year["specific_energy_e1"]["value"] == pytest.approx(e1, rel=1e-9)


def test_a_month_without_its_file_is_named(province: Path, tmp_path: Path) -> None:
    make_plant(tmp_path / "plant-0", 0, feeders=1, year=2025, months=1, seed=5)
    with pytest.raises(ConfigError, match=r"2025-03\.parquet"):
        recomputed_answer(tmp_path, "2025-03", RULES)
    with pytest.raises(ConfigError, match=r"site\.toml"):
        recomputed_answer(tmp_path / "plant-0", "2025-01", RULES)


def test_a_site_of_imported_meters_alone_is_right(province: Path) -> None:
    assert load_site(province / "plant-0" / "site.toml").site.meters["tie"].profile == "imported"
