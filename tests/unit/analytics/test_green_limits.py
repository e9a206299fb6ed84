"""Limits of green figures: which plants they hold of, how sure they are, until when."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from green_rows import NS, RULES, period_of, site_of

from analytics.certificate_gap import price_of
from analytics.green import total_use
from analytics.limits import limit_rows, standing
from analytics.period import period_figures
from plant import nodes
from plant.errors import ConfigError

SITE = ['id = "tie", kind = "grid_tie"', 'id = "pv", kind = "pv"']
NAMED = '[green]\nlimits = ["pv-feed-in-max"]\n'
DAY = date(2026, 7, 1)


def test_the_limit_of_feed_in_holds_of_plants_that_name_it_alone() -> None:
    # 10 of 20 are fed in, 20 % are allowed where the region trades spot continuously
    mwh = {"tie": (np.zeros(4), np.full(4, 10.0)), "pv": (np.zeros(4), np.full(4, 20.0))}
    for more, words in (("", {}), (NAMED, {"pv-feed-in-max": "exceeded"})):
        site = site_of(SITE, more)
        figure = period_figures(period_of(site, mwh, (), "year")).figures[nodes.PLANT]["pv_feed_in"]
        assert figure.value == pytest.approx(50.0)
        assert figure.status == words
        assert ("pv_feed_in" in limit_rows(RULES, site, DAY)) is bool(words)
        held = standing(RULES, site, "pv_self_consumption", 50.0, 50.0, 50.0, DAY, "year")
        assert held.status == {"pv-self-consumption-min": "missed"}


def test_a_limit_that_is_not_of_some_plants_alone_cannot_be_named() -> None:
    with pytest.raises(ConfigError, match="limits"):
        site_of(SITE, '[green]\nlimits = ["pv-feed-in"]\n')


def test_what_is_not_sure_is_marked_and_ends() -> None:
    price = RULES.in_force("certificate-price", date(2026, 11, 1))
    assert price is not None and price.placeholder
    assert price_of(site_of(SITE), RULES, date(2027, 1, 1), 0) is None
    direct = [rule for rule in RULES.rules if rule.id.startswith("direct-self-use")]
    assert len(direct) == 3 and all(rule.placeholder and rule.sure == "B" for rule in direct)
    for word in ("benchmark", "baseline"):
        rule = RULES.in_force(word, DAY)
        assert rule is not None and "2023 edition" in rule.document


def test_a_price_of_the_site_outlasts_the_mean_of_the_market() -> None:
    own = "[[green.certificate_price]]\nvalid_from = 2026-01-01T00:00:00+08:00\nlow_yuan = '4.5'\nhigh_yuan = '6.5'\n"
    price = price_of(site_of(SITE, own), RULES, date(2027, 6, 1), 1_800_000_000 * NS)
    assert price is not None and price.origin == "site"


@pytest.mark.parametrize(
    ("charge", "discharge", "use"),
    [
        (0.0, 4.0, (36_000.0, 36_000.0, 36_000.0)),  # a store that empties is no less use of power
        (10.0, 4.0, (60_000.0, 36_000.0, 76_000.0)),  # of the 24 that did not come back all may be inside
        (100.0, 40.0, (276_000.0, 176_000.0, 376_000.0)),  # 240, more or less what the store holds
    ],
)
def test_what_a_store_held_more_at_the_end_is_no_use_of_power(
    charge: float, discharge: float, use: tuple[float, float, float]
) -> None:
    store = 'id = "bat", kind = "storage", capacity_kwh = 100000, efficiency = 0.85'
    site, one = site_of([*SITE[:1], store, 'id = "mill", kind = "feeder"']), np.ones(4)
    mwh = {"tie": ((9 + charge - discharge) * one, 0 * one), "bat": (charge * one, discharge * one), "mill": (9 * one, 0 * one)}
    found = total_use(period_of(site, mwh))
    assert (found.value, found.low, found.high) == pytest.approx(use)
