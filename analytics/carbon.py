"""Carbon formulas: anodes, perfluorocarbons, electricity, allowances. Sources: 10.6 C1-C12; factors come as arguments.

Masses of gas in t, of metal in t, energies in kWh, factors as the rules state them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnodeFactors:
    """Shares 0..1 of sulphur and ash in the anode, of butts and losses in gross consumption; CO2 of a tonne of carbon."""

    sulphur: float
    ash: float
    gross_loss: float
    co2_per_carbon: float

    def net_of_gross(self, gross_t: float) -> float:
        """Carbon consumed of the anodes set. C2."""
        return gross_t * (1.0 - self.gross_loss)

    def co2_t(self, net_t: float) -> float:
        """CO2 of net anode carbon. C1."""
        return net_t * (1.0 - self.sulphur - self.ash) * self.co2_per_carbon


@dataclass(frozen=True, slots=True)
class PfcMethod:
    """A named set: slope in kg CF4 a tonne per minute and pot-day, C2F6 of CF4, warming of both against CO2."""

    name: str
    slope: float
    c2f6_ratio: float
    gwp_cf4: float
    gwp_c2f6: float

    def co2e_t_per_t(self, cf4_kg_per_t: float, c2f6_kg_per_t: float | None = None) -> float:
        """CO2 equivalent of a tonne of metal that gave so much CF4; C2F6 by the ratio unless stated. C5."""
        c2f6 = self.c2f6_ratio * cf4_kg_per_t if c2f6_kg_per_t is None else c2f6_kg_per_t
        return (cf4_kg_per_t * self.gwp_cf4 + c2f6 * self.gwp_c2f6) / 1000.0

    def of_effects(self, minutes_per_pot_day: float) -> float:
        """CO2 equivalent of a tonne at so many anode-effect minutes per pot-day. C3, C4."""
        return self.co2e_t_per_t(self.slope * minutes_per_pot_day)


def electricity_t(bought_kwh: float, green_kwh: float, kg_per_kwh: float) -> float:
    """CO2 of electricity bought, less what is green by contract: never below 0. C8-C10."""
    return max(bought_kwh - green_kwh, 0.0) * kg_per_kwh / 1000.0


@dataclass(frozen=True, slots=True)
class AllowanceRule:
    """Slope and cap of alpha, and the deviation (0..1) from which on the cap holds."""

    slope: float
    cap: float
    deviation_cap: float

    def alpha(self, deviation: float) -> float:
        """Share by which allowances exceed verified emissions. C12."""
        if abs(deviation) >= self.deviation_cap:
            return self.cap if deviation > 0 else -self.cap
        return self.slope * deviation


def deviation(balance_t_per_t: float, own_t_per_t: float) -> float:
    """X: how far the own intensity lies below the balance value of the industry, as a share of it."""
    return (balance_t_per_t - own_t_per_t) / balance_t_per_t
