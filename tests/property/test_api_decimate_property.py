import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from api.decimate import decimate
from plant.series import Span

VALUES = st.one_of(st.floats(-1e9, 1e9), st.just(float("nan")))


@given(st.lists(st.tuples(st.integers(0, 999), VALUES), max_size=60), st.integers(1, 50))
def test_thinning_keeps_count_mean_and_extremes_and_invents_nothing(rows: list[tuple[int, float]], buckets_max: int) -> None:
    rows.sort(key=lambda row: row[0])
    t_ns = np.array([t for t, _ in rows], np.int64)
    value = np.array([v for _, v in rows], float)
    cut = decimate(t_ns, value, Span(0, 1_000), buckets_max)
    finite = value[np.isfinite(value)]
    assert len(cut.start_ns) <= buckets_max
    assert cut.count.sum() == len(finite)
    filled = cut.count > 0
    for column in (cut.mean, cut.low, cut.high):
        assert np.array_equal(np.isfinite(column), filled)
    assert np.all(cut.low[filled] <= cut.mean[filled])
    assert np.all(cut.mean[filled] <= cut.high[filled])
    if len(finite):
        assert np.nanmin(cut.low) == finite.min()
        assert np.nanmax(cut.high) == finite.max()
        total = (cut.mean[filled] * cut.count[filled]).sum()
        assert abs(total - finite.sum()) <= 1e-6 * max(1.0, np.abs(finite).sum())


@given(st.lists(st.tuples(st.integers(0, 999), st.floats(-1e6, 1e6)), min_size=1, max_size=40), st.integers(1, 20))
def test_each_value_lies_within_the_extremes_of_its_own_cut(rows: list[tuple[int, float]], buckets_max: int) -> None:
    rows.sort(key=lambda row: row[0])
    cut = decimate(np.array([t for t, _ in rows], np.int64), np.array([v for _, v in rows]), Span(0, 1_000), buckets_max)
    for t, v in rows:
        at = int(np.searchsorted(cut.start_ns, t, side="right")) - 1
        assert cut.low[at] <= v <= cut.high[at]
