"""What a site expects of gauges that the profiles of its meters do not have, and PV capacities that do not add up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from devices.maps import Profile
from plant.settings.baseline import WEATHER
from plant.settings.solar import SolarField
from plant.site import Site

CAPACITY_WITHIN = 0.01  # of a field's capacity, that rounded capacities of its inverters may be apart from it


def gauge_notes(site: Site, profiles: Mapping[str, Profile]) -> list[str]:
    """One line for each gauge that no figure can come of, and each field whose inverters do not make up its capacity."""
    return [
        f"{where} names meter {meter}, whose profile {site.meters[meter].profile!r} has no {quantity}: name one that measures it"
        for where, meter, quantity in _asked(site)
        if site.meters[meter].profile in profiles and quantity not in profiles[site.meters[meter].profile].quantities
    ] + [text for field in site.solar for text in _capacity(field)]


def _asked(site: Site) -> Iterator[tuple[str, str, str]]:
    """(where it is written, meter, quantity) of every gauge that the site's settings name."""
    for field in site.solar:
        yield f"solar[{field.id}].weather_meter", field.weather_meter, "irradiance"
        for i, inverter in enumerate(field.inverters):
            yield f"solar[{field.id}].inverters[{i}].meter", inverter.meter, "active_power"
        for i, strings in enumerate(field.strings):
            yield f"solar[{field.id}].strings[{i}].meter", strings.meter, strings.quantities[-1]
    for one in site.baselines:
        if set(one.variables) & set(WEATHER):
            yield f"baseline[{one.id}].weather_meter", one.weather_meter, "ambient_temperature"


def _capacity(field: SolarField) -> Iterator[str]:
    whole = sum(inverter.dc_capacity_kw for inverter in field.inverters)
    if field.inverters and abs(whole - field.dc_capacity_kw) > CAPACITY_WITHIN * field.dc_capacity_kw:
        yield (
            f"solar[{field.id}].inverters have {whole:g} kW of modules together, dc_capacity_kw of the field is "
            f"{field.dc_capacity_kw:g}: correct one, or name the inverters that are missing"
        )
