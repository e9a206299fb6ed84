"""What `check` says of the meters' topics, once their profiles are known: what would not be read, or as another's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from collector.payloads.formats import decoder_of
from collector.payloads.sparkplug import TOPICS, data_topic
from devices.maps import Profile
from devices.sparkplug import NAMESPACE
from plant.errors import Fault
from plant.site import Meter, Site

READ_EACH_SECOND_S = 1.0  # what a site file says that says nothing


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


def unknown_spacing(site: Site, profiles: Mapping[str, Profile]) -> list[str]:
    """Meters that report by exception and whose file does not say how often they report at the least, a sentence each."""
    return [
        f"meter[{meter.id}].poll_interval_s = {meter.poll_interval_s:g}: {profile.id} reports by exception, and "
        "completeness would count it as read that often; set it, and "
        "accounting.gap_max_s no lower, to the longest time it lets pass without a value"
        for meter in site.meters.values()
        if (profile := profiles.get(meter.profile)) is not None
        and _by_exception(profile)
        and meter.poll_interval_s <= READ_EACH_SECOND_S
    ]


def _by_exception(profile: Profile) -> bool:
    map_ = profile.mqtt
    return map_ is not None and (map_.format in ("sparkplug", "value") or any(point.time for point in map_.points))
