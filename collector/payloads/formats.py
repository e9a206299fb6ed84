"""Which decoder reads a profile's messages: the one place that knows all payload formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collector.payloads.decoder import PayloadDecoder, SparkplugHost
from collector.payloads.json import JsonDecoder
from collector.payloads.sparkplug import EdgeNodes
from collector.payloads.text import TextDecoder
from devices.maps import Profile
from plant.site import Meter


def decoder_of(profile: Profile) -> PayloadDecoder:
    """The decoder of a profile whose protocol is MQTT and whose payload is not Sparkplug B."""
    assert profile.mqtt is not None and profile.mqtt.format != "sparkplug", profile.id
    return JsonDecoder(profile) if profile.mqtt.format == "json" else TextDecoder(profile)


def sparkplug_host(meters: Sequence[Meter], profiles: Mapping[str, Profile], rebirth: str = "never") -> SparkplugHost | None:
    """The host for those meters whose profile's payload is Sparkplug B, None where there are none.

    ``rebirth`` is ``Endpoint.sparkplug_rebirth``.
    """
    mine = [meter for meter in meters if _map_format(profiles[meter.profile]) == "sparkplug"]
    return EdgeNodes(mine, profiles, rebirth) if mine else None


def _map_format(profile: Profile) -> str:
    return profile.mqtt.format if profile.mqtt is not None else ""
