"""Historical tables: layouts, stamps, zones, numbers, and everything odd reported instead of hidden."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.import_mapping import parse_mapping
from collector.import_report import report_lines
from collector.importer import parse_table
from plant.config import parse_site
from plant.errors import ConfigError, InputError
from plant.frame import FRAMES_MAX
from plant.quality import ABSENT, Quality
from plant.series import Span

NS = 1_000_000_000
SITE = parse_site(
    """
    [plant]
    id = "works"
    name = { en = "Works" }
    [[bus]]
    id = "b"
    [[endpoint]]
    id = "files"
    protocol = "import"
    [[meter]]
    id = "m1"
    profile = "imported"
    endpoint = "files"
    [[meter]]
    id = "m2"
    profile = "imported"
    endpoint = "files"
    """,
    "site.toml",
)
ENERGY = '[[column]]\nname = "kWh"\nmeter = "m1"\nquantity = "interval_energy_import"\nunit = "kWh"\n'
POWER = '[[column]]\nname = "W"\nmeter = "m1"\nquantity = "active_power"\nunit = "W"\n'


def time(**changes: object) -> str:
    keys = {"column": "time", "formats": ["%Y-%m-%d %H:%M"], "zone": "UTC", "stamp": "start", "interval_s": 900} | changes
    return "[time]\n" + "".join(f"{key} = {value!r}\n" for key, value in keys.items())


def mapping(text: str):
    return parse_mapping(text, "map.toml", SITE)


def plan(text: str, columns: str = ENERGY, file: str = "", **changes: object):
    return parse_table(text, mapping(f"{file}\n{time(**changes)}{columns}"), "works")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * NS


def starts(found) -> list[int]:
    return np.concatenate([block.t_ns for block in found.blocks]).tolist()


def test_energy_of_intervals_is_kept_by_their_start():
    found = plan("time,kWh\n2024-01-01 00:15,1.5\n2024-01-01 00:30,2\n", stamp="end")
    (block,) = found.blocks
    assert (block.profile, block.meters, block.quantities) == ("imported", ("m1",), ("interval_energy_import",))
    assert block.t_ns.tolist() == [at("2024-01-01T00:00Z"), at("2024-01-01T00:15Z")]
    assert block.value[:, 0].tolist() == [1.5, 2.0]
    assert not block.quality.any()
    assert found.report.columns[0].total == 3.5


def test_units_become_canonical():
    found = plan("time,kWh\n2024-01-01 00:00,1.5\n", ENERGY.replace('unit = "kWh"', 'unit = "MWh"'))
    assert found.blocks[0].value.tolist() == [[1500.0]]


def test_power_becomes_energy_of_its_interval_marked_as_proven_by_no_register():
    found = plan("time,W\n2024-01-01 00:00,4000\n2024-01-01 00:15,-8\n2024-01-01 00:30,\n", POWER)
    (block,) = found.blocks
    assert block.quantities == ("interval_energy_import", "interval_energy_export")
    assert block.value[:2].tolist() == [[1.0, 0.0], [0.0, 0.002]]
    assert np.isnan(block.value[2]).all()
    estimated, negative = int(Quality.ESTIMATED), int(Quality.ESTIMATED | Quality.QUESTIONABLE)
    assert block.quality.tolist() == [[estimated] * 2, [negative] * 2, [int(ABSENT)] * 2]
    (column,) = found.report.columns
    assert (column.values, column.missing, column.negative, column.unit) == (2, 1, 1, "kWh")
    assert column.total == pytest.approx(0.998)
    assert column.negative_total == pytest.approx(-0.002)


@pytest.mark.parametrize(("word", "bits"), [("good", 0), ("questionable", 1), ("invalid", 2)])
def test_a_value_below_zero_is_kept_with_the_quality_that_the_mapping_gives_it(word, bits):
    found = plan("time,kWh\n2024-01-01 00:00,-3\n", f'{ENERGY}negative = "{word}"\n')
    assert (found.blocks[0].value[0, 0], found.blocks[0].quality[0, 0]) == (-3.0, bits)
    assert (found.report.columns[0].negative, found.report.columns[0].lowest) == (1, -3.0)


def test_a_power_may_be_kept_as_a_raw_reading():
    found = plan("time,W\n2024-01-01 00:00,-4000\n", f'{POWER}keep = "raw"\nnegative = "good"\n')
    assert found.blocks[0].quantities == ("active_power",)
    assert (found.blocks[0].value[0, 0], found.blocks[0].quality[0, 0]) == (-4.0, 0)


def test_columns_of_one_meter_share_its_frames():
    columns = ENERGY + ENERGY.replace('"kWh"\nmeter', '"back"\nmeter').replace("_import", "_export")
    (block,) = plan("time,kWh,back\n2024-01-01 00:00,3,1\n", columns).blocks
    assert block.value.tolist() == [[3.0, 1.0]]


def test_two_meters_have_blocks_of_their_own_and_no_block_is_too_long():
    rows = "".join(
        f"{datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * i):%Y-%m-%d %H:%M},{i},{2 * i}\n" for i in range(2_300)
    )
    columns = ENERGY + ENERGY.replace('"kWh"\nmeter = "m1"', '"other"\nmeter = "m2"')
    found = plan("time,kWh,other\n" + rows, columns)
    assert [(b.meters, len(b)) for b in found.blocks] == [((m,), n) for m in ("m1", "m2") for n in (FRAMES_MAX, FRAMES_MAX, 300)]


class TestStamps:
    def test_iso_stamps_with_an_offset(self):
        found = plan("time,kWh\n2022-03-18 04:33:00-07:00,1\n", zone="in_stamp", formats=["iso8601"])
        assert starts(found) == [at("2022-03-18T11:33Z")]

    def test_a_stamp_without_the_offset_that_the_mapping_promises(self):
        found = plan("time,kWh\n2022-03-18 04:33,1\n2022-03-18 04:33+01:00,1\n", zone="in_stamp", formats=["iso8601"])
        assert "no offset" in found.report.problems[0].reason

    @pytest.mark.parametrize(("zone", "utc"), [("Asia/Shanghai", "T16:00Z"), ("+09:00", "T15:00Z"), ("-00:30", "T00:30Z")])
    def test_zones_by_name_and_by_offset(self, zone, utc):
        day = "2024-01-01" if zone == "-00:30" else "2023-12-31"
        assert starts(plan("time,kWh\n2024-01-01 00:00,1\n", zone=zone)) == [at(day + utc)]

    def test_the_hour_that_comes_twice_is_taken_in_the_order_of_the_file(self):
        rows = "".join(f"2023-10-29 {stamp},1\n" for stamp in ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00"))
        found = plan("time,kWh\n" + rows, zone="Europe/Berlin", interval_s=1800)
        assert np.diff(starts(found)).tolist() == [1800 * NS] * 5
        assert (found.report.repeated, found.report.conflicting, found.report.gap_count) == (0, 0, 0)

    def test_an_hour_that_the_clock_skips_is_reported(self):
        found = plan("time,kWh\n2023-03-26 01:00,1\n2023-03-26 02:30,1\n", zone="Europe/Berlin")
        (problem,) = found.report.problems
        assert (problem.line, problem.text) == (3, "2023-03-26 02:30,1")
        assert "does not exist" in problem.reason

    def test_several_formats_are_tried_in_turn(self):
        found = plan("time,kWh\n31/12/2018 23:45,1\n01.01.2019 00:00,1\n", formats=["%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M"])
        assert np.diff(starts(found)).tolist() == [900 * NS]


DAY = [f"{15 * i // 60}:{15 * i % 60:02}" for i in range(1, 96)] + ["0:00"]
STEEL = "time,kWh\n" + "".join(f"{day:02}/01/2018 {stamp},{day}\n" for day in (1, 2, 3) for stamp in DAY)
STEEL_TIME = {"formats": ["%d/%m/%Y %H:%M"], "zone": "Asia/Seoul", "stamp": "end"}


class TestMidnightOfTheDayThatCloses:
    def test_with_the_option_the_days_are_whole_and_in_order(self):
        found = plan(STEEL, midnight="day_closed", **STEEL_TIME)
        assert np.diff(starts(found)).tolist() == [900 * NS] * (3 * 96 - 1)
        assert found.report.span == Span(at("2018-01-01T00:00+09:00"), at("2018-01-04T00:00+09:00"))
        assert (found.report.out_of_order, found.report.gap_count, found.report.hints) == (0, 0, ())

    def test_without_it_the_import_is_refused_with_the_way_out(self):
        with pytest.raises(InputError, match=r'^3 stamps of 00:00 .*time\.midnight = "day_closed".*; nothing was written$'):
            plan(STEEL, **STEEL_TIME)

    def test_a_mapping_that_states_the_other_meaning_is_believed_and_the_jumps_are_reported(self):
        found = plan(STEEL, midnight="day_begun", **STEEL_TIME)
        assert found.report.out_of_order == 3
        (hint,) = found.report.hints
        assert hint.startswith("3 stamps of 00:00")
        assert 'time.midnight = "day_closed"' in hint

    def test_a_file_that_gives_midnight_to_the_new_day_is_left_alone(self):
        rows = "".join(
            f"{datetime(2018, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * i):%d/%m/%Y %H:%M},1\n" for i in range(1, 200)
        )
        assert plan("time,kWh\n" + rows, **STEEL_TIME).report.hints == ()

    def test_a_second_row_of_a_whole_day_is_no_jump(self):
        rows = "time,kWh\n01/01/2018 00:00,1\n01/01/2018 00:00,1\n02/01/2018 00:00,2\n"
        found = plan(rows, **STEEL_TIME | {"interval_s": 86_400})
        assert (found.report.taken, found.report.repeated, found.report.hints) == (2, 1, ())


class TestOddRows:
    def test_a_broken_line_is_reported_with_its_number_and_the_rest_goes_on(self):
        found = plan("time,kWh\n2024-01-01 00:00,1\nyesterday,2\n2024-01-01 00:30\n\n2024-01-01 00:45,x\n2024-01-01 01:00,4\n")
        assert [(p.line, p.text) for p in found.report.problems] == [
            (3, "yesterday,2"),
            (4, "2024-01-01 00:30"),
            (6, "2024-01-01 00:45,x"),
        ]
        assert (found.report.rows, found.report.taken, found.report.problem_count) == (5, 3, 3)
        assert np.isnan(found.blocks[0].value[1, 0])
        assert found.blocks[0].quality[1, 0] == int(ABSENT)

    @pytest.mark.parametrize("cell", ["1_000", "inf", "0x10", "1,5"])
    def test_what_only_looks_like_a_number_is_none(self, cell):
        found = plan(f'time,kWh\n2024-01-01 00:00,"{cell}"\n')
        assert "is not a number" in found.report.problems[0].reason

    def test_second_rows_of_an_instant(self):
        rows = ("00:00,1", "00:15,2", "00:00,1", "00:15,3", "00:30,4")
        found = plan("time,kWh\n" + "".join(f"2024-01-01 {row}\n" for row in rows))
        report = found.report
        assert (report.taken, report.repeated, report.conflicting, report.out_of_order) == (3, 1, 1, 1)
        assert found.blocks[0].value[:, 0].tolist() == [1.0, 2.0, 4.0]
        assert [(p.line, p.text) for p in report.problems] == [(5, "2024-01-01 00:15,3")]

    def test_gaps_are_named_with_their_spans(self):
        found = plan("time,kWh\n2024-01-01 00:00,1\n2024-01-01 01:00,1\n2024-01-01 01:15,1\n")
        assert found.report.gaps == (Span(at("2024-01-01T00:15Z"), at("2024-01-01T01:00Z")),)
        assert (found.report.gap_count, found.report.gap_s) == (1, 2700)

    def test_intervals_that_overlap_are_counted(self):
        assert plan("time,kWh\n2024-01-01 00:00,1\n2024-01-01 00:05,1\n").report.overlapping == 1

    def test_the_report_in_words(self):
        found = plan("time,kWh\n2024-01-01 00:00,-1\n2024-01-01 01:00,x\n")
        text = "\n".join(report_lines(found.report, UTC))
        assert "2 rows read, 2 taken" in text
        assert "kWh -> m1 interval_energy_import: 1 values, 1 missing; sum -1.000 kWh; 1 below zero" in text
        assert "2024-01-01 00:15+00:00 to 2024-01-01 01:00+00:00" in text
        assert "line 3: kWh: 'x' is not a number" in text


class TestLayouts:
    def test_decimal_comma_thousands_and_semicolon(self):
        file = '[file]\ndelimiter = ";"\ndecimal = ","\nthousands = "."\n'
        found = plan("time;kWh\n2024-01-01 00:00;1.234,5\n", file=file)
        assert found.blocks[0].value.tolist() == [[1234.5]]

    def test_lines_before_the_heading_and_words_for_missing(self):
        file = '[file]\nlines_before_header = 2\nmissing = ["n/a"]\n'
        found = plan("Report\nof a plant\ntime,kWh\n2024-01-01 00:00,n/a\n2024-01-01 00:15,x\n", file=file)
        assert found.report.columns[0].missing == 2
        assert [p.line for p in found.report.problems] == [5]

    def test_a_column_without_a_heading_is_named_by_its_number(self):
        assert starts(plan(",kWh\n2024-01-01 00:00,1\n", column=1)) == [at("2024-01-01T00:00Z")]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("time,energy\n2024-01-01 00:00,1\n", "no columns headed 'kWh'"),
            ("time,kWh,kWh\n2024-01-01 00:00,1,1\n", "2 columns headed 'kWh'"),
            ("", "line 1 should hold the headings"),
            ("time,kWh\nnever,1\n", "line 2: time 'never' does not fit"),
            ("time,kWh\n", "no row below the headings"),
        ],
    )
    def test_a_table_that_cannot_be_read_at_all_says_why(self, text, words):
        with pytest.raises(InputError, match=words):
            plan(text)


class TestMapping:
    def faults(self, text: str) -> str:
        with pytest.raises(ConfigError) as error:
            mapping(text)
        return str(error.value)

    def test_every_fault_is_listed_with_what_is_allowed(self):
        columns = (
            ENERGY.replace("m1", "m9") + POWER.replace('"W"\n', '"kWh"\n', 2) + ENERGY.replace("interval_energy_import", "x")
        )
        text = self.faults(time(zone="Mars/Olympus", midnight="day_closed") + columns)
        for words in (
            "time.zone: found 'Mars/Olympus'",
            'time.midnight: found "day_closed"; this only where stamp = "end"',
            "column[1].meter: found 'm9'; the id of a [[meter]] of the site: m1, m2",
            "column[2].unit: found 'kWh'",
            "column[3].quantity: found 'x'",
        ):
            assert words in text

    def test_unknown_and_missing_keys(self):
        text = self.faults('[time]\ncolumn = "t"\nzone = "UTC"\nstamp = "start"\nintervall_s = 900\n' + ENERGY)
        assert "time.interval_s: found nothing" in text
        assert "time.intervall_s: found an unknown key" in text

    def test_one_quantity_has_one_column(self):
        assert "one column for each of interval_energy_import, interval_energy_export of m1" in self.faults(
            time() + ENERGY + POWER
        )

    def test_an_old_gauge_has_no_interval_series_and_an_amount_is_no_reading(self):
        irradiance = '[[column]]\nname = "G"\nmeter = "m1"\nquantity = "irradiance"\nunit = "W/m2"\n'
        assert 'column[1].keep: found "interval"; "raw"' in self.faults(time() + irradiance)
        assert 'column[1].keep: found "raw"; "interval"' in self.faults(time() + ENERGY + 'keep = "raw"\n')

    def test_broken_toml(self):
        assert "map.toml: TOML" in self.faults("[time")

    def test_signs_that_cannot_be_told_apart(self):
        assert "have to differ" in self.faults('[file]\ndecimal = ","\n' + time() + ENERGY)


values = st.one_of(st.none(), st.floats(-1e9, 1e9).map(lambda x: float(f"{x:.6g}")))


@settings(max_examples=60)
@given(st.dictionaries(st.integers(0, 3_000), values, min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_whatever_the_order_of_rows_the_same_values_come_out(table, random):
    def text(slots):
        rows = ((datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * slot), table[slot]) for slot in slots)
        return "time,kWh\n" + "".join(f"{t:%Y-%m-%d %H:%M},{'' if v is None else v!r}\n" for t, v in rows)

    shuffled = sorted(table)
    random.shuffle(shuffled)
    one, other = plan(text(sorted(table))), plan(text(shuffled))
    assert starts(one) == starts(other) == [at("2024-01-01T00:00Z") + slot * 900 * NS for slot in sorted(table)]
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert np.array_equal(a.value, b.value, equal_nan=True)
    known = [v for v in table.values() if v is not None]
    assert one.report.columns[0].total == other.report.columns[0].total == math.fsum(known)
    steps = np.diff(sorted(table))
    assert one.report.gap_count == other.report.gap_count == int((steps > 1).sum())
    assert one.report.gap_s == 900 * (steps - 1).sum()


def test_a_stray_quote_costs_its_own_line_and_no_other():
    rows = [f"2024-01-{1 + i // 96:02d} {i // 4 % 24:02d}:{15 * (i % 4):02d},{i}" for i in range(2_880)]
    rows[10] = rows[10].replace(",", ',"')
    found = plan("time,kWh\n" + "\n".join(rows) + "\n")
    assert (found.report.rows, found.report.taken, found.report.problem_count) == (2_880, 2_879, 1)
    (problem,) = found.report.problems
    assert (problem.line, problem.text) == (12, rows[10])


def test_headings_may_hold_line_ends_and_cells_delimiters():
    column = ENERGY.replace('name = "kWh"', "name = 2")
    heading = 'time,"Energy\n(kWh)",note\n'
    found = plan(heading + '2024-01-01 00:00,"1",\n2024-01-01 00:15,2,"shift ""A"", late"\n', column)
    assert found.blocks[0].value[:, 0].tolist() == [1.0, 2.0]
    bad = plan(heading + "2024-01-01 00:00,1,\nx,1,\n", column)
    assert bad.report.problems[0].line == 4, "lines are counted as an editor counts them"


def test_a_quote_left_open_in_the_headings_is_told():
    with pytest.raises(InputError, match=r"a quote .* is opened there and not closed"):
        plan('time,"kWh\n' + "2024-01-01 00:00,1\n" * 50)


def test_an_empty_cell_is_filled_by_a_second_row_of_the_instant():
    found = plan("time,kWh\n2024-01-01 00:00,\n2024-01-01 00:00,7\n2024-01-01 00:00,8\n")
    assert found.blocks[0].value.tolist() == [[7.0]]
    assert (found.report.taken, found.report.repeated, found.report.conflicting) == (1, 1, 1)
