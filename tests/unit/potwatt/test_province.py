"""The command's answer: what is summed, what is missing, what is withheld, and that it can be recomputed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from analytics.aggregate import DENOMINATORS, adds_up, suppressed
from api.render.csv import to_csv
from plant.errors import ConfigError
from plant.indicators import INDICATORS
from plant.rulebook import parse_rules, shipped_rule_texts
from potwatt.province import differences, digest, province_answer
from potwatt.province_table import province_table

RULES = parse_rules(shipped_rule_texts())


def figure(indicator: str, value: float | None, half: float = 0.0, **status: str) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - half, value + half)
    unit = INDICATORS[indicator].unit
    trust = {"completeness": 1.0, "measured_share": 0.9, "reason": "", "status": status, "editions": []}
    return {"indicator": indicator, "unit": unit, "value": value, "low": low, "high": high, **trust}


def report(plant: str, e1: float | None, metal_t: float, province: str = "guizhou", **more: Any) -> dict[str, Any]:
    figures = {"a": figure("specific_energy_e1", e1, 10.0), "b": figure("metal_produced", metal_t, metal_t * 0.003)}
    return {
        "plant": plant, "enterprise": f"{plant} Ltd", "province": province, "kind": "month", "period": "2026-10", "version": 1,
        "status": "closed", "interval_hash": "abc", "data_until": "2026-11-01T00:00:00Z", "end": "2026-11-01T00:00:00Z",
        "figures": {"plant": figures}, "capacity_t_per_y": {}, "studies": {}, **more,
    }  # fmt: skip


def put(folder: Path, *reports: dict[str, Any]) -> Path:
    for one in reports:
        (folder / f"{one['plant']}.json").write_text(json.dumps(one), "utf-8")
    return folder


def three(folder: Path) -> Path:
    return put(folder, report("a", 12_980.0, 500e3), report("b", 13_020.0, 400e3), report("c", 13_360.0, 300e3))


def test_ratio_of_sums_with_the_errors_of_plants_as_squares(tmp_path: Path) -> None:
    answer = province_answer([three(tmp_path)], "2026-10", RULES)
    found = answer["provinces"]["guizhou"]["figures"]
    e1 = found["specific_energy_e1"]
    assert e1["value"] == pytest.approx(13_088.3333, abs=1e-3)
    assert "status" not in e1  # limits name plants and lines, never a province
    # 10 kWh/t of each by its share of the metal, and 0.3 % of the metal by how far its plant is from the whole
    shares, distances = (5 / 12, 4 / 12, 3 / 12), (108.3333, 68.3333, 271.6667)
    expected = sum((10 * s) ** 2 + (0.003 * s * d) ** 2 for s, d in zip(shares, distances, strict=True)) ** 0.5
    assert e1["high"] - e1["value"] == pytest.approx(expected, rel=1e-5)
    assert found["metal_produced"]["value"] == 1_200e3
    assert found["metal_produced"]["high"] == pytest.approx(1_200e3 + 3 * (500e3**2 + 400e3**2 + 300e3**2) ** 0.5 / 1e3)


def test_a_plant_without_a_figure_is_missing_and_never_0(tmp_path: Path) -> None:
    folder = put(tmp_path, report("a", 12_980.0, 500e3), report("b", None, 400e3), report("c", 13_360.0, 300e3))
    answer = province_answer([folder], "2026-10", RULES, companies_min=1, expected=["a", "b", "c", "d"])
    e1 = answer["provinces"]["guizhou"]["figures"]["specific_energy_e1"]
    assert (e1["value"], e1["missing"]) == (None, ["b"])
    assert e1["known_value"] == pytest.approx((500 * 12_980 + 300 * 13_360) / 800)
    assert answer["missing_plants"] == ["d"]


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_and_any_order_of_files_give_the_same_bytes(tmp_path: Path, workers: int) -> None:
    folder = three(tmp_path)
    files = sorted(folder.glob("*.json"), reverse=True)
    again = province_answer(files, "2026-10", RULES, workers=workers)
    assert orjson.dumps(again) == orjson.dumps(province_answer([folder], "2026-10", RULES))


def shown(answer: dict[str, Any], group: str, name: str) -> Any:
    return answer["provinces"][group]["figures"][name].get("value", "withheld")


def test_fewer_than_three_enterprises_are_withheld_and_not_told_by_the_total(tmp_path: Path) -> None:
    others = [report(n, 13_000.0, 100e3, "yunnan") for n in ("d", "e", "f", "g")]
    put(tmp_path, *others, report("h", 13_000.0, 1e3, "gansu"))
    answer = province_answer([three(tmp_path)], "2026-10", RULES)
    found = {group: shown(answer, group, "metal_produced") for group in answer["provinces"]}
    # guizhou as the smaller one of the rest: the total less yunnan and it would be gansu alone
    assert found == {"gansu": "withheld", "guizhou": "withheld", "yunnan": 400e3, "all": 1_601e3}
    assert suppressed({"x": 3, "y": 4}, 3) == set()


def test_a_figure_that_one_enterprise_alone_has_is_not_told_by_the_total(tmp_path: Path) -> None:
    casthouse = {"casthouse_energy": 777.0, "metal_produced": 1e3}
    alone = report("a", 13_000.0, 1e3, figures={"plant": {n: figure(n, v) for n, v in casthouse.items()}})
    others = [report(n, 13_000.0, 1e3) for n in "bc"]
    all_have = {"casthouse_energy": 100.0}
    yunnan = [
        report(n, 1.0, 1.0, "yunnan", figures={"plant": {k: figure(k, v) for k, v in all_have.items()}})
        for n in ("d", "e", "f", "g")
    ]
    answer = province_answer([put(tmp_path, alone, *others, *yunnan)], "2026-10", RULES)
    assert {g: shown(answer, g, "casthouse_energy") for g in ("guizhou", "yunnan", "all")} == dict.fromkeys(
        ("guizhou", "yunnan", "all"), "withheld"
    )
    assert shown(answer, "guizhou", "metal_produced") == 3e3


def test_capacity_of_one_enterprise_is_withheld(tmp_path: Path) -> None:
    stating = report("a", 13_000.0, 1e3, capacity_t_per_y={"line-1": 100e3})
    folder = put(tmp_path, stating, *(report(n, 13_000.0, 1e3) for n in "bc"))
    answer = province_answer([folder], "2026-10", RULES)["provinces"]["guizhou"]
    assert set(answer["capacity"]) == {"withheld"}
    open_to = province_answer([folder], "2026-10", RULES, companies_min=1)["provinces"]["guizhou"]["capacity"]
    assert open_to["target"]["status"] == "unknown"  # the target is one of a year


def test_a_plant_that_states_only_the_denominator_is_missing(tmp_path: Path) -> None:
    def of(plant: str, **given: float) -> dict[str, Any]:
        return report(plant, 1.0, 1.0, figures={"plant": {n: figure(n, v) for n, v in given.items()}})

    # of a plant without contract the matched share is the physical one; of one that does not say either, nothing is known
    first = of("a", green_share_matched=60.0, contracted_energy=5e5, load_energy=1e6)
    folder = put(tmp_path, first, of("b", load_energy=1e6, green_share_physical=30.0), of("c", load_energy=1e6))
    found = province_answer([folder], "2026-10", RULES, companies_min=1)["provinces"]["guizhou"]["figures"]
    assert (found["green_share_matched"]["value"], found["green_share_matched"]["missing"]) == (None, ["c"])
    assert found["green_share_matched"]["known_value"] == pytest.approx(45.0)
    idle = put(tmp_path, of("c", load_energy=0.0))
    found = province_answer([idle], "2026-10", RULES, companies_min=1)["provinces"]["guizhou"]["figures"]
    assert found["green_share_matched"]["value"] == pytest.approx(45.0)  # what is surely nothing weighs nothing


def test_what_was_changed_after_it_was_made_is_told(tmp_path: Path) -> None:
    folder = three(tmp_path)
    answer = province_answer([folder], "2026-10", RULES)
    assert answer["sha256"] == digest(answer)
    put(folder, report("a", 12_981.0, 500e3))
    found = differences(answer, province_answer([folder], "2026-10", RULES))
    assert any("specific_energy_e1.value" in line for line in found)
    assert any(line.startswith("reports") for line in found)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"period": "2026-09"}, "period"),
        ({"province": ""}, "province"),
        ({"figures": {"plant": {"a": figure("metal_produced", 1.0) | {"unit": "kg"}}}}, "figures.plant.metal_produced"),
        ({"status": "live"}, "status"),
        ({"studies": {"certificates": {"figures": None}}}, "studies.certificates.figures"),
        (
            {"studies": {"s": {"figures": {"plant": {"g": figure("certificate_gap", 5.0) | {"unit": "kWh"}}}}}},
            "figures.plant.certificate_gap",
        ),
    ],
)
def test_a_report_that_does_not_fit_is_refused_by_file_and_key(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    put(tmp_path, report("a", 1.0, 1.0) | change)
    with pytest.raises(ConfigError) as raised:
        province_answer([tmp_path], "2026-10", RULES)
    assert [(Path(f.file).name, f.key) for f in raised.value.faults] == [("a.json", key)]


def test_two_reports_of_a_plant_are_refused(tmp_path: Path) -> None:
    put(tmp_path, report("a", 1.0, 1.0))
    (tmp_path / "again.json").write_text((tmp_path / "a.json").read_text("utf-8"), "utf-8")
    (tmp_path / "torn.json").write_text("{", "utf-8")
    with pytest.raises(ConfigError) as raised:
        province_answer([tmp_path], "2026-10", RULES)
    assert {f.key for f in raised.value.faults} == {"plant", "JSON"}


def test_every_denominator_adds_up() -> None:
    parts = {part.removeprefix("-") for over in DENOMINATORS.values() for part in over}
    assert parts <= set(INDICATORS)
    assert all(adds_up(part) for part in parts)
    assert not any(adds_up(name) for name in DENOMINATORS)


def test_certificates_are_of_power_use_with_what_storage_lost(tmp_path: Path) -> None:
    def of(plant: str, ratio: float, load: float, charge: float) -> dict[str, Any]:
        given = {"certificate_ratio": ratio, "load_energy": load, "storage_charge": charge, "storage_discharge": charge / 2}
        return report(plant, 13_000.0, 1e3, figures={"plant": {n: figure(n, v) for n, v in given.items()}})

    folder = put(tmp_path, of("a", 40.0, 900.0, 200.0), of("b", 20.0, 900.0, 0.0), of("c", 0.0, 100.0, 0.0))
    found = province_answer([folder], "2026-10", RULES)["provinces"]["guizhou"]["figures"]["certificate_ratio"]
    assert found["value"] == pytest.approx((400 + 180) / 2_000 * 100)


def test_the_table_names_every_source_in_both_languages(tmp_path: Path) -> None:
    answer = province_answer([three(tmp_path)], "2026-10", RULES)
    chinese = to_csv(province_table(answer, "zh")).decode("utf-8-sig")
    assert "铝液交流电耗" in chinese
    assert all(r["sha256"] in chinese for r in answer["reports"])
    assert "AC energy per tonne, molten (e1)" in to_csv(province_table(answer, "en")).decode("utf-8-sig")
