"""The order of Sparkplug B messages: which birth an alias belongs to, what is missing, who is dead. Pure, one broker.

Wrong history is worse than none: what stands under an alias is read only by the birth that gave it, and only while no
message of its edge node is missing since and the line was not broken: a birth may have been missed then, whose numbers go
on as if nothing had been. Everything else is not read until the next birth; the first message of each such episode goes aside,
named.

A birth is not kept over a restart of the collector: edge nodes publish with QoS 0, which no broker keeps for one who is
away, so that a birth of before could hardly ever be trusted after. Sites that cannot wait for the next one allow
``sparkplug_rebirth = "request"``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from collector.payloads.columns import Columns
from collector.payloads.decoder import PAYLOAD_BYTES_MAX, Reading, Taken
from devices.maps import Profile
from devices.payload import Sample
from devices.payload_map import PayloadMap
from devices.sparkplug import BDSEQ, NAMESPACE, REBIRTH, SEQ_MODULUS, DataType, Metric, Payload, Topic, metric_samples, topic_of
from devices.sparkplug_wire import decode, encode, signed
from plant.errors import ConfigError, Fault, PayloadError
from plant.frame import NS_PER_MS, FrameBlock
from plant.site import Meter

ASK_EVERY_NS = 60 * 10**9  # of one edge node
ASK_APART_NS = 10**9  # of any two of one broker: each birth is a burst of all that a node has
TOPICS = f"{NAMESPACE}/<group>/DDATA/<node>/<device>, or {NAMESPACE}/<group>/NDATA/<node> for the node's own"
Notes = tuple[tuple[str, str], ...]
_SHOWN = 5  # unknown metrics named in a text


@dataclass(slots=True)
class _Birth:
    """What a birth said: (name, type) by alias, type by name. ``doubt``: why it is no longer trusted, empty while it is."""

    by_alias: dict[int, tuple[str, int]]
    types: dict[str, int]
    doubt: str = ""


@dataclass(slots=True)
class _Asked:
    """When a birth was last asked for, and from when on one may be again."""

    at_ns: int = 0
    again_ns: int = 0

    def is_due(self, now_ns: int) -> bool:
        return now_ns >= self.again_ns or now_ns < self.at_ns

    def note(self, now_ns: int, pause_ns: float) -> None:
        self.at_ns, self.again_ns = now_ns, now_ns + round(pause_ns)


@dataclass(slots=True)
class _Node:
    """An edge node and, by device ("" for itself), its births and the meters that hang on it."""

    topic: Topic
    meters: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    births: dict[str, _Birth] = field(default_factory=dict)
    bdseq: object = None
    seq: int | None = None
    sent_ms: int | None = None
    asked: _Asked = field(default_factory=_Asked)
    aside: dict[str, set[str]] = field(default_factory=dict)  # by device: what was put aside since its birth

    def every_meter(self) -> tuple[str, ...]:
        return tuple(meter for some in self.meters.values() for meter, _ in some)

    def meters_of(self, device: str) -> tuple[str, ...]:
        return tuple(meter for meter, _ in self.meters.get(device, ()))

    def doubt(self, why: str) -> None:
        for birth in self.births.values():
            birth.doubt = birth.doubt or why


class EdgeNodes:
    """``collector.payloads.decoder.SparkplugHost`` for the meters of one broker; ``rebirth`` is never or request.

    ``chance`` (0..1) spreads requests of hosts that saw the same gap.
    """

    def __init__(
        self, meters: Sequence[Meter], profiles: Mapping[str, Profile], rebirth: str, chance: Callable[[], float] = random.random
    ) -> None:
        self._rebirth, self._chance = rebirth, chance
        self._asked = _Asked()
        self._nodes: dict[str, _Node] = {}
        self._maps: dict[str, PayloadMap] = {}
        self._columns: dict[str, Columns] = {}
        for meter in meters:
            topic, map_ = data_topic(meter.topic), profiles[meter.profile].mqtt
            assert map_ is not None, meter.id
            if topic is None:
                raise ConfigError([Fault("site", f"meter[{meter.id}].topic", repr(meter.topic), TOPICS)])
            node = self._nodes.setdefault(topic.edge, _Node(replace(topic, device="")))
            node.meters.setdefault(topic.device, []).append((meter.id, meter.profile))
            self._maps[meter.profile] = map_
            self._columns[meter.profile] = Columns(profiles[meter.profile])

    def topics(self) -> tuple[str, ...]:
        """Births, data and deaths of each edge node and of all its devices, since the sequence runs over all of them."""
        return tuple(
            node.topic.of(f"{level}{kind}") + ("/+" if level == "D" else "")
            for node in self._nodes.values()
            for level in "ND"
            for kind in ("BIRTH", "DATA", "DEATH")
        )

    def owns(self, topic: str) -> bool:
        """Whether a message on that topic is for ``take``."""
        return topic.startswith(f"{NAMESPACE}/")

    def disconnected(self) -> None:
        """Messages may be missing, births among them: none of before is trusted."""
        for node in self._nodes.values():
            node.doubt("the line was broken since its birth")

    def take(self, topic: str, payload: bytes, received_ns: int) -> Taken:
        """One message, in order of arrival. Raises PayloadError."""
        where = topic_of(topic)
        node = self._nodes.get(where.edge) if where else None
        if where is None or node is None:
            return Taken()  # another's node, a command, or the state of a host
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise PayloadError(f"a message of {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX} are read")
        said = decode(payload)
        if where.message == "NDEATH":
            return _node_died(node, said)
        note: Notes = ()
        if where.message == "NBIRTH":
            node.births, node.bdseq, node.seq, node.sent_ms, node.aside = {}, _bdseq(said), said.seq, said.t_ms, {}
            if said.seq != 0:
                note = ((where.edge, f"its birth has sequence number {said.seq}, expected 0"),)
        else:
            note = self._follow(node, said)
        if where.message == "DDEATH":
            node.births.pop(where.device, None)
            return Taken(notes=note, offline=node.meters_of(where.device), publish=self._ask(node, received_ns, bool(note)))
        if where.message.endswith("BIRTH"):
            node.births[where.device] = _birth(said)
            node.aside.pop(where.device, None)
        return self._read(node, where, said, received_ns, note)

    def blocks(self, plant: str, profile: str, readings: Sequence[Reading]) -> list[FrameBlock]:
        """Readings of one profile in canonical units."""
        return self._columns[profile].blocks(plant, readings)

    def _follow(self, node: _Node, said: Payload) -> Notes:
        """What a person has to know where the message is not the next one of its edge node; births are then in doubt."""
        before, before_ms = node.seq, node.sent_ms
        node.seq, node.sent_ms = said.seq, said.t_ms
        if before is None or not node.births:
            return ()  # nothing to doubt yet
        if said.seq == (before + 1) % SEQ_MODULUS or (said.seq, said.t_ms) == (before, before_ms):
            return ()
        node.doubt("a message is missing since its birth")
        missing = "it has none" if said.seq is None else f"{(said.seq - before - 1) % SEQ_MODULUS} messages are missing"
        return ((node.topic.edge, f"sequence number {said.seq} after {before}: {missing}"),)

    def _read(self, node: _Node, where: Topic, said: Payload, received_ns: int, note: Notes) -> Taken:
        """Readings of births and data; what no birth explains, or no profile can read, is told by meter."""
        birth, mine = node.births.get(where.device), node.meters.get(where.device, [])
        named, unknown = _named(said.metrics, birth)
        parts = [metric for metric in named if not metric.is_historical], [metric for metric in named if metric.is_historical]
        readings, historical = dict[str, list[Reading]](), dict[str, list[Reading]]()
        unread = dict.fromkeys((meter for meter, _ in mine), "") if where.message.endswith("BIRTH") else {}
        no_birth = f"{_listed(unknown)}: {_why(birth)}; incomplete until the next birth" if unknown else ""
        culprits = set(unknown)
        for meter, profile in mine:
            refused: dict[str, PayloadError] = {}
            for metrics, into in zip(parts, (readings, historical), strict=True):
                if not metrics:
                    continue
                found, wrong = metric_samples(self._maps[profile], metrics, said.t_ms)
                refused |= wrong
                if found:
                    into.setdefault(profile, []).extend(_reading(meter, sample) for sample in found)
            culprits.update(refused)
            if text := "; ".join(filter(None, [no_birth, *map(str, refused.values())])):
                unread[meter] = text
        known = node.aside.setdefault(where.device, set())
        aside = "; ".join(dict.fromkeys(filter(None, unread.values()))) if mine and culprits - known else ""
        known |= culprits
        if aside:
            aside = f"{where.edge}{'/' if where.device else ''}{where.device}: {aside}"
            note = (*note, *((meter, aside) for meter, text in unread.items() if text))
        publish = self._ask(node, received_ns, bool(note or (mine and unknown)))
        return Taken(readings, historical, publish, note, online=node.meters_of(where.device), unread=unread, aside=aside)

    def _ask(self, node: _Node, now_ns: int, wanting: bool) -> tuple[tuple[str, bytes], ...]:
        """The request for a birth where something is wrong and the site allows it: the one message ever sent."""
        if not wanting or self._rebirth != "request" or not (node.asked.is_due(now_ns) and self._asked.is_due(now_ns)):
            return ()
        node.asked.note(now_ns, ASK_EVERY_NS * (1 + self._chance()))
        self._asked.note(now_ns, ASK_APART_NS * (1 + self._chance()))
        t_ms = now_ns // NS_PER_MS
        return (
            (
                node.topic.of("NCMD"),
                encode(Payload(t_ms, None, (Metric(REBIRTH, value=True, datatype=DataType.BOOLEAN, t_ms=t_ms),))),
            ),
        )


def data_topic(text: str) -> Topic | None:
    """The parts of a topic that a meter can have, see ``TOPICS``."""
    topic = topic_of(text)
    return topic if topic is not None and topic.message.endswith("DATA") and not set(text) & set("+#") else None


def _reading(meter: str, found: Sample) -> Reading:
    assert found.t_ns is not None
    return Reading(meter, found.t_ns, found.raw, "", None, found.columns, found.quality)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _why(birth: _Birth | None) -> str:
    if birth is None:
        return "no birth was seen"
    return birth.doubt or "its birth does not name it"


def _node_died(node: _Node, said: Payload) -> Taken:
    """A death belongs to the birth with the same number; a broker may send that of a connection long replaced."""
    number = _bdseq(said)
    if node.bdseq is not None and number is not None and number != node.bdseq:
        return Taken(notes=((node.topic.edge, f"death {BDSEQ} {number} belongs to an earlier birth, not to {node.bdseq}"),))
    node.births, node.bdseq, node.seq, node.aside = {}, None, None, {}
    return Taken(offline=node.every_meter())


def _bdseq(said: Payload) -> object:
    return next((metric.value for metric in said.metrics if metric.name == BDSEQ), None)


def _birth(said: Payload) -> _Birth:
    named = [metric for metric in said.metrics if metric.name]
    return _Birth(
        {metric.alias: (metric.name, metric.datatype) for metric in named if metric.alias is not None},
        {metric.name: metric.datatype for metric in named},
    )


def _named(metrics: Sequence[Metric], birth: _Birth | None) -> tuple[list[Metric], list[str]]:
    """Metrics with name and value after their type, and those that no birth beyond doubt explains."""
    by_alias = {} if birth is None or birth.doubt else birth.by_alias
    types = {} if birth is None or birth.doubt else birth.types
    named: list[Metric] = []
    unknown: list[str] = []
    for metric in metrics:
        name, type_ = metric.name, metric.datatype
        if not name:
            name, born = by_alias.get(-1 if metric.alias is None else metric.alias, ("", 0))
            type_ = type_ or born
        type_ = type_ or types.get(name, 0)
        # the wire has negative whole numbers as two's complement: without the type their sign is a guess
        if not name or (type(metric.value) is int and not type_):
            unknown.append(repr(name) if name else f"alias {metric.alias}")
        else:
            value = signed(metric.value, type_)
            if name != metric.name or type_ != metric.datatype or value is not metric.value:
                t_ms, quality, kind, late = metric.t_ms, metric.quality, metric.kind, metric.is_historical
                metric = Metric(name, value, type_, t_ms, metric.alias, quality, kind, late)  # noqa: PLW2901 - as its birth names it
            named.append(metric)
    return named, unknown
