"""Which decoder reads a profile's messages: the one place that knows all payload formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collector.payloads.decoder import PayloadDecoder, SparkplugHost
from collector.payloads.json import JsonDecoder
from devices.maps import Profile
from plant.site import Meter


def decoder_of(profile: Profile) -> PayloadDecoder:
    """The decoder of a profile whose protocol is MQTT and whose payload is not Sparkplug B."""
    return JsonDecoder(profile)


def sparkplug_host(meters: Sequence[Meter], profiles: Mapping[str, Profile], rebirth: str = "never") -> SparkplugHost | None:
    """The host for those meters whose profile's payload is Sparkplug B, None where there are none.

    ``rebirth`` is ``Endpoint.sparkplug_rebirth``.
    """
    return None
