"""What `check` says of the meters' topics, once their profiles are known: what would not be read, or as another's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from collector.payloads.formats import decoder_of
from collector.payloads.sparkplug import TOPICS, data_topic
from devices.maps import Profile
from devices.sparkplug import NAMESPACE
from plant.errors import Fault
from plant.site import Meter, Site


def topic_faults(site: Site, profiles: Mapping[str, Profile], file: str) -> Iterator[Fault]:
    """Topics that Sparkplug B gives no data, that are Sparkplug's and another's, or that two meters publish to."""
    owner: dict[tuple[str, str], Meter] = {}
    for meter in site.meters.values():
        profile = profiles.get(meter.profile)
        if profile is None or profile.mqtt is None:
            continue
        key = f"meter[{meter.id}].topic"
        if profile.mqtt.format == "sparkplug":
            if data_topic(meter.topic) is None:
                yield Fault(file, key, repr(meter.topic), TOPICS)
            continue
        if meter.topic.startswith(f"{NAMESPACE}/"):
            yield Fault(file, key, repr(meter.topic), f"a topic outside {NAMESPACE}/, or a profile whose payload is sparkplug")
        for topic in (meter.topic + suffix for suffix in decoder_of(profile).suffixes):
            other = owner.setdefault((meter.endpoint, topic), meter)
            if other is not meter:
                yield Fault(file, key, repr(meter.topic), f"a topic of its own: {topic} is that of {other.id}, too")
