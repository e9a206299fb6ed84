"""From the text of ``[mqtt]`` to a PayloadMap, with everything that is wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from zoneinfo import ZoneInfo

from devices.payload import pointer_parts
from devices.payload_map import PayloadFormat, PayloadMap, PayloadPoint, PayloadQuality, PayloadTime
from devices.payload_scalar import word
from devices.profile_file import MqttText, PathText
from plant.quantities import QUANTITIES, Kind, factor_to_canonical

Say = Callable[[str, object, str], None]
_PLACE: dict[PayloadFormat, str] = {"json": "path", "value": "topic", "csv": "column", "sparkplug": "metric"}
_ADDS_UP = (Kind.COUNTER, Kind.INTERVAL, Kind.EVENT)  # what a message that comes twice would count twice


def check_payload(mqtt: MqttText, say: Say) -> None:
    """Say every fault of ``[mqtt]`` that does not hang on its values: places, times, what goes with which format."""
    for point in mqtt.points:
        _check_point(mqtt, point, say)
    _check_identity(mqtt, say)
    _check_time(mqtt, say)
    _check_format(mqtt, say)
    for key, place in _places(mqtt):
        _check_place(mqtt, key, place, say)


def _check_point(mqtt: MqttText, point: PathText, say: Say) -> None:
    key, place = f"mqtt.points[{point.name}]", _PLACE[mqtt.payload]
    quantity = QUANTITIES.get(point.name)
    if point.wraps_at is not None and quantity is not None and quantity.kind is not Kind.COUNTER:
        say(f"{key}.wraps_at", point.wraps_at, "only a counter wraps")
    if point.states and quantity is not None and quantity.kind is not Kind.STATE:
        say(f"{key}.states", point.states, "only a state has names for its numbers")
    for other in _PLACE.values():
        if other != place and str(getattr(point, other)):
            say(f"{key}.{other}", getattr(point, other), f"{place}, since the payload is {mqtt.payload}")
    if not str(getattr(point, place)):
        say(f"{key}.{place}", "", f"where the quantity stands in a {mqtt.payload} message")
    if point.quality and mqtt.quality is None:
        say(f"{key}.quality", point.quality, "only with mqtt.quality, which says what the words mean")
    if point.time and (mqtt.time is None or mqtt.event_id):
        say(f"{key}.time", point.time, "only with mqtt.time, which says the format, and not for events")
    if point.suffix and mqtt.payload in ("json", "sparkplug") and mqtt.numbers != "text":
        say(f"{key}.suffix", point.suffix, 'only where numbers are text (numbers = "text")')


def _check_identity(mqtt: MqttText, say: Say) -> None:
    """What adds up has to be told from its own repetition: by time, or by number. MQTT delivers at least once. The samples
    of one message have to be told from each other."""
    if mqtt.each and mqtt.time is None:
        say("mqtt.time", "none", "where each sample says when: several of one message cannot all be of its receipt")
    if mqtt.time is not None or mqtt.payload == "sparkplug" or str(mqtt.sequence):
        return
    adding = [p.name for p in mqtt.points if p.name in QUANTITIES and QUANTITIES[p.name].kind in _ADDS_UP]
    if adding:
        say("mqtt.time, mqtt.sequence", "neither", f"one of them: a repeated message would count {', '.join(adding)} twice")


def _check_time(mqtt: MqttText, say: Say) -> None:
    if mqtt.time is None:
        return
    if mqtt.time.zone and mqtt.time.format != "iso8601":
        say("mqtt.time.zone", mqtt.time.zone, "only for iso8601: a number counts from 1970 in UTC")
    if mqtt.time.zone:
        try:
            ZoneInfo(mqtt.time.zone)
        except (ValueError, OSError, KeyError):
            say("mqtt.time.zone", mqtt.time.zone, "a zone of the IANA database, such as Asia/Shanghai")
    if not str(mqtt.time.path) and not all(point.time for point in mqtt.points):
        say("mqtt.time.path", "", "where the message says when, unless every point has a time of its own")


def _check_format(mqtt: MqttText, say: Say) -> None:
    """Keys that mean nothing in this format are refused rather than passed over."""
    only_json = {"each": mqtt.each, "numbers": mqtt.numbers if mqtt.numbers != "plain" else ""}
    alone = {"time": mqtt.time, "event_id": mqtt.event_id, "sequence": mqtt.sequence, "quality": mqtt.quality}
    for name, found in only_json.items():
        if found and mqtt.payload != "json":
            say(f"mqtt.{name}", found, "only for JSON")
    for name, said in alone.items():
        if said not in (None, "") and mqtt.payload in ("value", "sparkplug"):
            reason = (
                "a plain value says nothing beside itself" if mqtt.payload == "value" else "Sparkplug B has it in every message"
            )
            say(f"mqtt.{name}", said, f"none: {reason}")
    if mqtt.header != "none" and mqtt.payload != "csv":
        say("mqtt.header", mqtt.header, "only for CSV")
    if mqtt.decimal == "comma" and (mqtt.payload == "sparkplug" or (mqtt.payload == "json" and mqtt.numbers == "plain")):
        say("mqtt.decimal", mqtt.decimal, "only where numbers are text")
    if mqtt.decimal == "comma" and mqtt.payload == "csv" and mqtt.separator == ",":
        say("mqtt.separator", mqtt.separator, "another than the decimal mark")
    if mqtt.sequence_modulus and not str(mqtt.sequence):
        say("mqtt.sequence_modulus", mqtt.sequence_modulus, "only with mqtt.sequence")


def _places(mqtt: MqttText) -> Iterator[tuple[str, str]]:
    """Every place that is named, with its key."""
    for point in mqtt.points:
        for name in (_PLACE[mqtt.payload], "time", "quality"):
            yield f"mqtt.points[{point.name}].{name}", str(getattr(point, name))
    yield "mqtt.event_id", str(mqtt.event_id)
    yield "mqtt.sequence", str(mqtt.sequence)
    yield "mqtt.each", mqtt.each
    if mqtt.time is not None:
        yield "mqtt.time.path", str(mqtt.time.path)
    if mqtt.quality is not None:
        yield "mqtt.quality.path", str(mqtt.quality.path)


def _check_place(mqtt: MqttText, key: str, place: str, say: Say) -> None:
    if not place:
        return
    if mqtt.payload == "json":
        try:
            pointer_parts(place)
        except ValueError as error:
            say(key, place, str(error))
    elif mqtt.payload == "csv" and mqtt.header == "none" and not (place.isascii() and place.isdecimal()):
        say(key, place, 'the number of a column, from 0, unless header = "first_line"')
    elif mqtt.payload == "value" and (set(place) & set("+#\0") or place.startswith("/") or place.endswith("/")):
        say(key, place, "what follows the meter's topic and a slash, without wildcards")


def payload_map_of(mqtt: MqttText) -> PayloadMap:
    """The map of a ``[mqtt]`` without faults."""
    time, quality = mqtt.time, mqtt.quality
    return PayloadMap(
        tuple(_point(p, _PLACE[mqtt.payload]) for p in mqtt.points),
        None if time is None else PayloadTime(str(time.path), time.format, time.zone),
        str(mqtt.event_id),
        str(mqtt.sequence),
        mqtt.payload,
        mqtt.sequence_modulus,
        mqtt.each,
        None
        if quality is None
        else PayloadQuality(str(quality.path), tuple(map(word, quality.good)), tuple(map(word, quality.questionable))),
        mqtt.numbers,
        mqtt.decimal,
        mqtt.separator,
        mqtt.header,
    )


def _point(p: PathText, place: str) -> PayloadPoint:
    factor = Fraction(str(factor_to_canonical(p.name, p.unit)))
    words = {number: [said] if isinstance(said, str) else said for number, said in p.states.items()}
    return PayloadPoint(
        p.name,
        str(getattr(p, place)),
        Fraction(str(p.scale)) * factor,
        None if p.wraps_at is None else p.wraps_at * float(factor),
        Fraction(str(getattr(p, "offset", 0.0))) * factor,
        {text: number for number, texts in words.items() for text in texts},
        p.time,
        p.quality,
        p.suffix,
    )
