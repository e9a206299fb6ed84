"""Talking to a Modbus meter, without input or output: generators that yield what to read and are sent the answer.

``introduce`` finds out once whether the meter is what the profile says, where its map starts and which registers it
refuses; ``poll`` then reads what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from devices.asking import (
    EXCEPTIONS,
    NOT_AT_ALL,
    NOT_THERE,
    PERHAPS_NOT_THERE,
    Answer,
    Asking,
    MeterAddress,
    Refused,
    ask,
    refusal,
)
from devices.codec import Words, columns_touching, place_of, width
from devices.description import described, described_by_common_model, text_of_words
from devices.layout import modbus_map
from devices.locate import Located, locate
from devices.maps import ModbusMap, Profile
from devices.plan import ReadRequest, clipped, guards, plan_reads, split_request, unsplittable
from plant.errors import DeviceError, DeviceNonsense, DeviceSilent

__all__ = ["EXCEPTIONS", "Answer", "Introduction", "MeterAddress", "Refused", "introduce", "poll"]

SILENCES_MAX = 6  # requests that an introduction leaves unanswered before it stops to look for the reason
FAILURES_MAX = 16  # refusals with exception 4 before any answer: the device itself is unwell


@dataclass(frozen=True, slots=True, eq=False)
class Introduction:
    """What is known of a meter: requests with absolute addresses, the place of each in the words of the plan, and holes.

    ``absent`` bool[k] marks quantities that the meter does not tell, ``holes`` names registers that it refuses or leaves
    unanswered, ``notes`` says in words what it simply does not have. ``guards`` are read once more at the end of a poll
    and have to say the same. ``description`` is what the device says of itself: maker, model, serial, firmware, hardware.
    ``unanswered`` are the holes that it was silent about, where the others were refused.
    """

    requests: tuple[tuple[ReadRequest, int], ...]
    absent: npt.NDArray[np.bool_]
    holes: tuple[ReadRequest, ...]
    guards: tuple[tuple[ReadRequest, int], ...] = ()
    description: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unanswered: tuple[ReadRequest, ...] = ()

    @property
    def is_unsure(self) -> bool:
        """Whether frames that were lost may be all that is amiss."""
        return bool(self.unanswered)

    @property
    def serial(self) -> str:
        """The serial number that the device gives, "" where it gives none."""
        return self.description.get("serial", "")


def introduce(profile: Profile, meter: MeterAddress) -> Asking[Introduction]:
    """Locate the map, check identity, read everything once and halve refused requests down to the refused registers.

    A driver may throw DeviceSilent into it where a request stays unanswered: if the device answers others, it is treated
    like a refusal, for a bounded number of requests. Raises DeviceNonsense where the meter is not what the profile says,
    DeviceRefused where it tells nothing at all, DeviceSilent where it is busy or dead.
    """
    map_ = modbus_map(profile)
    located = yield from locate(map_, meter)
    yield from _identify(map_, located, meter)
    survey = yield from _survey(map_, located, meter)
    description = yield from _describe(map_, located)
    told = description.get("serial", meter.serial)
    if meter.serial and told != meter.serial:
        raise DeviceNonsense(
            meter.meter,
            meter.where,
            expected=f"serial number {meter.serial}",
            got=told,
            next_step="another device answers there, or the meter was exchanged: mend the mounting in the site file",
        )
    return _introduction(profile, located, survey, description)


def poll(meter: MeterAddress, profile: Profile, known: Introduction) -> Asking[Words]:
    """One reading: words uint16[w] of the plan, 0 in the holes.

    Raises DeviceRefused when a request is refused after all, DeviceSilent when the device is busy, DeviceNonsense when
    scale factors keep changing while the values are read.
    """
    for _ in range(1 + bool(known.guards)):
        words = np.zeros(width(profile), np.uint16)
        for request, place in known.requests:
            words[place : place + request.count] = yield from _insist(meter, request)
        moved = None
        for request, place in known.guards:
            again = yield from _insist(meter, request)
            if words[place : place + request.count].tolist() != list(again):
                moved = request
        if moved is None:
            return words
    assert moved is not None
    raise DeviceNonsense(
        meter.meter,
        meter.where,
        expected=f"scale factors at {moved.table} {moved.address} that stay while their values are read",
        got="others after the values than before, twice",
        next_step="this reading is thrown away; it is asked again",
    )


def _insist(meter: MeterAddress, request: ReadRequest) -> Asking[Sequence[int]]:
    answer = yield request
    if isinstance(answer, Refused):
        raise refusal(meter, request, answer)
    return answer


def _identify(map_: ModbusMap, located: Located, meter: MeterAddress) -> Asking[None]:
    wanted = map_.identity
    if wanted is None:
        return
    request = ReadRequest(wanted.table, wanted.address, wanted.count).located(located.bases)
    answer = yield request
    if isinstance(answer, Refused) and answer.code not in NOT_THERE:
        raise refusal(meter, request, answer)
    if isinstance(answer, Refused):
        got = answer.name
    elif wanted.words:
        got = "" if tuple(answer) == wanted.words else str(list(answer))
    else:
        text = text_of_words(answer)
        got = "" if text.startswith(wanted.text) else repr(text)
    if got:
        expected = str(list(wanted.words)) if wanted.words else f"a text that starts with {wanted.text!r}"
        raise DeviceNonsense(
            meter.meter,
            meter.where,
            expected=f"identity {expected} at {request.table} {request.address}",
            got=got,
            next_step="another device answers there: check unit number and profile; nothing it says is taken",
        )


def _describe(map_: ModbusMap, located: Located) -> Asking[dict[str, str]]:
    """What the device says of itself; a refusal or silence leaves it unsaid."""
    description: dict[str, str] = {}
    if located.common is not None:
        answer = yield from ask(located.common)
        if not isinstance(answer, Refused | DeviceSilent):
            description = described_by_common_model(answer)
    for said in map_.describe:
        answer = yield from ask(ReadRequest(said.table, said.address, said.count))
        if isinstance(answer, DeviceSilent):
            break
        if not isinstance(answer, Refused) and (text := described(said, answer)):
            description[said.name] = text
    return description


@dataclass(slots=True, eq=False)
class _Survey:
    """What was learnt so far of which requests a device answers; addresses are those of the map."""

    waiting: list[ReadRequest]
    answers: bool  # whether the device has answered anything at all
    readable: list[ReadRequest] = field(default_factory=list)
    holes: list[ReadRequest] = field(default_factory=list)
    unanswered: list[ReadRequest] = field(default_factory=list)
    silences: int = 0
    failures: int = 0
    _repeated: set[ReadRequest] = field(default_factory=set)

    def split(self, map_: ModbusMap, request: ReadRequest) -> None:
        """Ask for the halves of a request next, or note it as a hole."""
        halves = split_request(map_, request)
        if halves is None:
            self.holes.append(request)
        else:
            self.waiting += halves[::-1]

    def repeat(self, map_: ModbusMap, request: ReadRequest) -> bool:
        """Whether what cannot be split is asked for once more: a frame that was lost, or a device busy for an instant, is
        no hole."""
        if request in self._repeated or split_request(map_, request) is not None:
            return False
        self._repeated.add(request)
        self.waiting.append(request)
        return True

    def leave(self, request: ReadRequest) -> None:
        """Note what stays unanswered."""
        self.holes.append(request)
        self.unanswered.append(request)


def _survey(map_: ModbusMap, located: Located, meter: MeterAddress) -> Asking[_Survey]:
    plan = [clipped(map_, r, located.end_of(r.section)) for r in plan_reads(map_) if located.bases[r.section] is not None]
    survey = _Survey([r for r in plan if r is not None][::-1], located.answers or map_.identity is not None)
    trouble: DeviceError | None = None
    while survey.waiting:
        request = survey.waiting.pop()
        answer = yield from ask(request.located(located.bases))
        if isinstance(answer, DeviceSilent):
            trouble = answer
            yield from _take_silence(map_, survey, located, request, answer)
        elif isinstance(answer, Refused):
            trouble = refusal(meter, request.located(located.bases), answer)
            _take_refusal(map_, survey, request, answer, trouble)
        else:
            survey.answers = True
            survey.readable.append(request)
    if not survey.readable:
        raise trouble or _nothing(map_, meter)
    survey.readable.sort(key=lambda r: (r.table, r.address))
    return survey


def _take_silence(
    map_: ModbusMap, survey: _Survey, located: Located, request: ReadRequest, silence: DeviceSilent
) -> Asking[None]:
    """A device that answers elsewhere may stay silent where it has no register; one that never answered is asked for one
    thing more before it counts as dead."""
    if not survey.answers:
        cells = [c for c in unsplittable(map_) if located.bases[c.section] is not None and c.end <= located.end_of(c.section)]
        others = [c for c in cells if not request.covers(c.table, c.address)] or cells[1:][-1:]
        if not others or isinstance((yield from ask(others[0].located(located.bases))), DeviceSilent):
            raise silence
        survey.answers = True
    survey.silences += 1
    if survey.silences > SILENCES_MAX:
        survey.leave(request)
    elif not survey.repeat(map_, request):
        if split_request(map_, request) is None:
            survey.leave(request)
        else:
            survey.split(map_, request)


def _take_refusal(map_: ModbusMap, survey: _Survey, request: ReadRequest, answer: Refused, trouble: DeviceError) -> None:
    survey.answers = survey.answers or answer.code in NOT_THERE
    if answer.code == NOT_AT_ALL:
        survey.holes.append(request)
    elif answer.code in PERHAPS_NOT_THERE:
        survey.failures += answer.code not in NOT_THERE
        if survey.failures > FAILURES_MAX and not survey.readable:
            raise trouble
        if answer.code in NOT_THERE or not survey.repeat(map_, request):
            survey.split(map_, request)
    else:
        raise trouble


def _introduction(profile: Profile, located: Located, survey: _Survey, description: Mapping[str, str]) -> Introduction:
    unread = np.ones(width(profile), bool)
    for request in survey.readable:
        place = place_of(profile, request.table, request.address)
        unread[place : place + request.count] = False

    def placed(requests: Sequence[ReadRequest]) -> tuple[tuple[ReadRequest, int], ...]:
        return tuple((r.located(located.bases), place_of(profile, r.table, r.address)) for r in requests)

    return Introduction(
        placed(survey.readable),
        columns_touching(profile, unread),
        tuple(r.located(located.bases) for r in survey.holes),
        placed(guards(modbus_map(profile), survey.readable)),
        description,
        located.notes,
        tuple(r.located(located.bases) for r in survey.unanswered),
    )


def _nothing(map_: ModbusMap, meter: MeterAddress) -> DeviceNonsense:
    models = ", ".join(section.in_words for section in map_.sections)
    return DeviceNonsense(
        meter.meter,
        meter.where,
        expected=f"at least one register of {models}",
        got="models that are too short for any",
        next_step="choose the profile of a model that the device lists",
    )
