"""Limits of green figures: which plants they hold of, how sure they are, until when."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from green_rows import NS, RULES, period_of, site_of

from analytics.certificate_gap import price_of
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
