"""What electricity costs the simulated smelter: part of its site file."""

from __future__ import annotations

TARIFF = """
# Prices of no province: hours and factors have the shape that price notices have.
[[tariff.time_of_use]]
valid_from = 2020-01-01
base_price_yuan_per_kwh = 0.45
factors = { critical = 2.125, peak = 1.7, valley = 0.38 }
periods = [
  { band = "valley", start = "00:00", end = "08:00" },
  { band = "peak", start = "10:00", end = "12:00" },
  { band = "peak", start = "14:00", end = "19:00" },
  { band = "critical", start = "15:00", end = "17:00", months = [7, 8, 9] },
]
document = "invented for the demo"
[[tariff.demand]]
tie = "tie-1"
valid_from = 2020-01-01
contracted_kw = 380000
price_yuan_per_kw = 32
[[tariff.demand]]
tie = "tie-2"
valid_from = 2020-01-01
contracted_kw = 380000
price_yuan_per_kw = 32
[[tariff.power_factor]]
valid_from = 2020-01-01
rows = [
  { below = 0.90, percent = 0.5 },
  { below = 0.89, percent = 1.0 },
  { below = 0.88, percent = 1.5 },
  { below = 0.85, percent = 3.0 },
]
document = "invented for the demo"
"""
