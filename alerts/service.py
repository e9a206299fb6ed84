"""The alert loop: looks at the plant on the clock, remembers through the ledger, delivers in order.

States and undelivered messages are one row of the ledger, replaced together: after a restart nothing fires twice that
had been saved and nothing undelivered is lost. A crash between history and state can repeat a line of the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

import structlog

from alerts import texts
from alerts.engine import S_TO_NS, Acknowledged, AlertState, Condition, Event, Looked, Notice, Phase, step
from alerts.notify import Address, send
from alerts.outbox import Message, Outbox, outbox_from_state, outbox_to_state
from alerts.rules import CORRECTIONS, DROPPED, FILES, LOST, STORE, Heard, Inactive, Trouble, Watch, hear, watches
from alerts.running import certificate_watches, running_watches
from alerts.supply import drop_watches, supply_watches
from alerts.suspects import suspect_watches
from analytics.chapter import Found
from analytics.figures import Live
from analytics.study import Studied
from plant import nodes
from plant.errors import PotwattError, StoreError
from plant.ports import Bus, Clock, Health, HealthBoard, Ledger
from plant.rulebook import Rulebook
from plant.site import Site, best_effort_sinks, required_sinks

STATE = "alerts"
HISTORY_WAITING_MAX = 1_000
DELIVERY_INTERVAL_S = 1.0
TARIFF_INTERVAL_S = 900.0  # a year's figure moves slowly
SUSPECTS_INTERVAL_S = 3_600.0  # a week is compared
CORRECTIONS_S = 7 * 86_400.0  # nothing tells that a correction was entered, so the alert ends by itself
LANGUAGES: tuple[texts.Language, texts.Language] = ("en", "zh")
_DELIVERED_ALWAYS = ("raised", "reminder", "cleared")
_InBoth = Mapping[texts.Language, str]
_log = structlog.get_logger(__name__)


class LiveSource(Protocol):
    """What the loop reads of the analytics."""

    async def live(self) -> Live:
        """The plant now."""
        ...


class AlertService:
    """Alerts of one plant. ``addresses`` come from ``alerts.notify.parse_addresses``; ``look_interval_s`` between looks."""

    def __init__(
        self,
        *,
        site: Site,
        rulebook: Rulebook,
        analytics: LiveSource,
        ledger: Ledger,
        clock: Clock,
        bus: Bus,
        health: HealthBoard,
        addresses: Sequence[Address] = (),
        look_interval_s: float = 5.0,
        study: Callable[[str, str, str], Awaitable[Studied]] | None = None,
    ) -> None:
        self._site, self._rulebook, self._analytics, self._ledger = site, rulebook, analytics, ledger
        self._clock, self._bus, self._health = clock, bus, health
        self._addresses = {address.name: address for address in addresses}
        self._look_interval_s, self._study = look_interval_s, study
        self._tariff: Found | None = None
        self._solar: Found | None = None
        self._suspects: Studied | None = None
        self._certificates: Studied | None = None
        self._supply: list[Watch] = []
        self._states: dict[str, AlertState] = {}
        self._watches: dict[str, Watch] = {}
        self._heard: dict[str, Heard] = {}
        self._outbox = Outbox()
        self._refusing: set[str] = set()
        self._history: list[dict[str, Any]] = []
        self._restored = False
        self._saving = asyncio.Lock()  # looking and delivering save independently
        self._saved: dict[str, Any] | None = None

    async def run(self) -> None:
        """Look and deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop(self.look, self._look_interval_s))
            group.create_task(self._loop(self.ask_tariff, TARIFF_INTERVAL_S))
            group.create_task(self._loop(self.ask_solar, TARIFF_INTERVAL_S))
            group.create_task(self._loop(self.ask_suspects, SUSPECTS_INTERVAL_S))
            group.create_task(self._loop(self.ask_certificates, TARIFF_INTERVAL_S))
            for address in self._addresses:  # each on its own: a slow one holds up no other
                group.create_task(self._loop(partial(self._deliver_to, address), DELIVERY_INTERVAL_S))

    async def _loop(self, work: Callable[[], Awaitable[None]], interval_s: float) -> None:
        while True:
            try:
                await work()
            except StoreError as error:
                self._health.set("alerts", "degraded", f"alert states are not saved: {error}")
            except Exception as error:  # a defect in one look must not end the watch
                _log.exception("alerts failed")
                self._health.set("alerts", "down", f"{type(error).__name__}: {error}; the log has the details")
            await self._clock.sleep(interval_s)

    async def ask_solar(self) -> None:
        """Ask how the PV fields did yesterday; the last answer stands until the next."""
        if self._study is None or not self._site.solar:
            return
        yesterday = self._site.calendar.local(self._clock.now_ns()).date() - timedelta(days=1)
        try:
            self._solar = (await self._study("solar", "day", str(yesterday))).figures
        except PotwattError as error:
            _log.warning("the PV fields of yesterday could not be asked", error=str(error))

    async def ask_certificates(self) -> None:
        """Ask how the certificates of the running year stand; the last answer stands until the next."""
        if self._study is None:
            return
        year = self._site.calendar.local(self._clock.now_ns()).year
        try:
            self._certificates = await self._study("certificates", "year", str(year))
        except PotwattError as error:
            _log.warning("the certificates of the year could not be asked", error=str(error))

    async def ask_suspects(self) -> None:
        """Ask which meters the others accuse, by the week until yesterday; the last answer stands until the next."""
        if self._study is None:
            return
        yesterday = self._site.calendar.local(self._clock.now_ns()).date() - timedelta(days=1)
        try:
            self._suspects = await self._study("suspects", "day", str(yesterday))
        except PotwattError as error:
            _log.warning("the meters could not be held against each other", error=str(error))

    async def ask_tariff(self) -> None:
        """Ask what the tiered price of the running year comes to; the last answer stands until the next."""
        if self._study is None or not self._site.potlines:
            return
        year = self._site.calendar.local(self._clock.now_ns()).year
        try:
            self._tariff = (await self._study("tariff", "year", str(year))).figures
        except PotwattError as error:
            _log.warning("the tariff of the year could not be asked", error=str(error))

    async def look(self) -> None:
        """Evaluate every rule once and save what changed. Raises StoreError when the ledger does not take it; what was
        found out is kept and saved with the next look."""
        await self._restore()
        windows, trouble = await self._figures()
        last_24h = windows.get("last_24h", {})
        now_ns = self._clock.now_ns()
        self._heard = hear(self._heard, self._site, {m: f.received_ns for m, f in self._bus.latest().items()}, now_ns)
        lost_s, troubles = self._sessions_lost_s(), self._troubles()
        found, inactive = watches(self._site, self._rulebook, last_24h, self._heard, now_ns, lost_s, troubles, self._tariff)
        if last_24h:  # without figures the last ones stand: a store that is away must not take an alert back
            self._supply = [
                *supply_watches(self._site, self._rulebook, last_24h, now_ns),
                *running_watches(self._site, last_24h, windows.get("month", {})),
            ]
        found += [*self._supply, *drop_watches(self._site, self._solar), *suspect_watches(self._site, self._suspects)]
        found += certificate_watches(self._site, self._certificates, now_ns)
        self._watches = {watch.key: watch for watch in found}
        self._withdraw(now_ns)
        for watch in found:
            self._apply(watch, Looked(watch.condition, watch.timing), now_ns)
        await self._save()
        self._report(inactive, trouble)

    def _sessions_lost_s(self) -> dict[str, float]:
        """By broker of this process, as its collector put it on the board."""
        brokers = {f"broker:{e.id}": e.id for e in self._site.endpoints.values()}
        return {brokers[h.part]: h.numbers.get("session_lost_s", 0.0) for h in self._health.all() if h.part in brokers}

    def _troubles(self) -> list[Trouble]:
        """What the parts of this process say of themselves."""
        parts = {health.part: health for health in self._health.all()}
        found = []
        for sink in (*required_sinks(self._site), *best_effort_sinks(self._site)):
            store = parts.get(sink)
            found.append(Trouble(STORE, sink, float(store.state == "down") if store else None, store.detail if store else ""))
        for endpoint in self._site.endpoints.values():
            if endpoint.protocol == "mqtt":
                queues = parts.get(f"broker-queues:{endpoint.id}")
                lost = queues.numbers.get("dropped_lately") if queues else None
                found.append(Trouble(DROPPED, endpoint.id, lost, queues.detail if queues else ""))
        if files := parts.get(FILES):
            found.append(Trouble(LOST, FILES, files.numbers.get("lost"), files.detail))
        return [*found, _spool_losses(parts), _corrections(parts, self._clock.now_ns())]

    async def acknowledge(self, key: str, who: str) -> bool:
        """Take note of a raised alert; False when there is none of that key. No reminders follow until it ends."""
        watch = self._watches.get(key)
        if watch is None or self._states.get(key, AlertState()).phase is not Phase.RAISED:
            return False
        self._apply(watch, Acknowledged(who), self._clock.now_ns())
        await self._save()
        return True

    async def deliver(self) -> None:
        """Try the oldest waiting message of each address whose time has come."""
        await asyncio.gather(*(self._deliver_to(address) for address in self._addresses))

    async def _deliver_to(self, address: str) -> None:
        message = next((m for m in self._outbox.due(self._clock.now_ns()) if m.address == address), None)
        if message is None:
            return
        arrived = await send(self._addresses[address], message)
        outbox = self._outbox
        self._outbox = outbox.delivered(message) if arrived else outbox.failed(message, self._clock.now_ns())
        self._health.count("alert_deliveries", {"address": address, "result": "taken" if arrived else "refused"})
        if arrived:
            self._refusing.discard(address)
        else:
            self._refusing.add(address)
        self._report_delivery()
        await self._save()

    def _report_delivery(self) -> None:
        waiting = f"{len(self._outbox.messages)} messages wait"
        if not self._refusing:
            self._health.set("notify", "ok", waiting)
            return
        detail = f"{', '.join(sorted(self._refusing))}: not reached or refused; {waiting}, tried again"
        self._health.set("notify", "degraded", f"{detail}; check the address in the variable {self._site.alerts.urls_env}")

    def active(self) -> list[dict[str, Any]]:
        """Alerts that are raised, and subjects that cannot be judged, ready for JSON; times in RFC 3339, UTC."""
        return [
            self._view(key, state)
            for key, state in self._states.items()
            if state.phase is Phase.RAISED or state.sight == "unknown"
        ]

    async def _restore(self) -> None:
        if self._restored:
            return
        saved = await self._ledger.get_state(self._site.id, STATE) or {}
        self._states = {key: _state_from(raw) for key, raw in saved.get("states", {}).items()}
        self._outbox = outbox_from_state(saved.get("outbox", {})).only(tuple(self._addresses))
        self._restored = True

    async def _figures(self) -> tuple[Any, str]:
        try:
            windows = (await self._analytics.live()).windows
        except PotwattError as error:
            return {}, str(error)
        except Exception as error:  # silence is judged whatever becomes of the figures
            _log.exception("live figures failed")
            return {}, f"{type(error).__name__}: {error}"
        return {name: window.figures for name, window in windows.items()}, ""

    def _withdraw(self, now_ns: int) -> None:
        # a raised alert whose meter or rule was taken out of the site file must not vanish without a word
        for key in [key for key in self._states if key not in self._watches]:
            state = self._states.pop(key)
            if state.phase is Phase.RAISED:
                rule, _, subject = key.partition("/")
                self._tell(
                    {"kind": "withdrawn", "key": key, "rule": rule, "subject": subject, "t_ns": now_ns, "t": _rfc3339(now_ns)}
                )
                titles = {language: texts.withdrawn_title(rule, subject, language) for language in LANGUAGES}
                bodies = {language: texts.withdrawn_body(language) for language in LANGUAGES}
                self._post(f"{key}@{now_ns}", "withdrawn", titles, bodies, now_ns)

    def _apply(self, watch: Watch, event: Event, now_ns: int) -> None:
        before = self._states.get(watch.key, AlertState())
        self._states[watch.key], notices = step(before, event, now_ns)
        for notice in notices:
            self._tell(_event(watch, notice, self._site))
            if notice.kind in _DELIVERED_ALWAYS or (before.phase is Phase.RAISED and notice.kind != "acknowledged"):
                titles = {language: texts.title(watch, notice, language) for language in LANGUAGES}
                bodies = {language: texts.body(watch, notice, self._site.calendar, language) for language in LANGUAGES}
                self._post(f"{watch.key}@{notice.t_ns}", notice.kind, titles, bodies, notice.t_ns)

    def _post(self, name: str, kind: str, titles: _InBoth, bodies: _InBoth, t_ns: int) -> None:
        """One message to each address, the plant's language first."""
        first, second = LANGUAGES if self._site.alerts.language != "zh" else LANGUAGES[::-1]
        body = "\n".join((bodies[first], "", titles[second], bodies[second]))
        self._outbox = self._outbox.post(
            Message(f"{name}/{kind}", address, kind, titles[first], body, t_ns) for address in self._addresses
        )

    def _tell(self, event: dict[str, Any]) -> None:
        self._history.append(event)
        if len(self._history) > HISTORY_WAITING_MAX:
            # the first may be on its way to the ledger just now
            del self._history[1]
        self._bus.announce("alert", event)

    async def _save(self) -> None:
        async with self._saving:
            while self._history:
                await self._ledger.add_alert_event(self._site.id, self._history[0])
                del self._history[0]
            state = {"states": {key: asdict(s) for key, s in self._states.items()}, "outbox": outbox_to_state(self._outbox)}
            if _essence(state) != _essence(self._saved):
                await self._ledger.put_state(self._site.id, STATE, state)
                self._saved = state

    def _report(self, inactive: Sequence[Inactive], trouble: str) -> None:
        raised = sum(1 for state in self._states.values() if state.phase is Phase.RAISED)
        words = [
            f"{len(self._watches)} watched, {raised} raised",
            *(f"{i.rule} watches nothing: {i.reason_en}" for i in inactive),
        ]
        if trouble:
            words.append(f"no figures: {trouble}")
        numbers = {"watched": float(len(self._watches)), "raised": float(raised), "lost_messages": float(self._outbox.lost)}
        self._health.set("alerts", "degraded" if trouble else "ok", "; ".join(words), **numbers)

    def _view(self, key: str, state: AlertState) -> dict[str, Any]:
        watch = self._watches.get(key)
        raised = state.phase is Phase.RAISED
        rule, _, subject = key.partition("/")
        since_ns = state.since_ns if raised or state.unknown_since_ns is None else state.unknown_since_ns
        view = {"key": key, "rule": rule, "subject": subject, "state": "raised" if raised else "unknown"}
        view |= {"since": _rfc3339(since_ns), "condition": str(state.condition), "acknowledged_by": state.acknowledged_by}
        if watch is None:
            return view
        notice = Notice("raised" if raised else "unknown", state.told_ns, since_ns)
        return view | _figures(watch) | _words(watch, notice, self._site)


def _spool_losses(parts: Mapping[str, Health]) -> Trouble:
    """What the spool told as lost within a day, and rot that it could not write down yet."""
    told = [
        (part.numbers.get(number, 0.0), part.detail)
        for name, number in (("spool:lost", "recent_spans"), ("spool:rot", "untold"))
        if (part := parts.get(name)) is not None
    ]
    # a spool that tells of no loss has none, so an alert ends also where its record was moved away
    amount = sum(number for number, _ in told) if "spool" in parts else None
    return Trouble(LOST, "spool", amount, "; ".join(detail for number, detail in told if number))


def _corrections(parts: Mapping[str, Health], now_ns: int) -> Trouble:
    """Slots that something came for too late, for a week after the last; not known before the analytics have told."""
    late = parts.get("corrections")
    if late is None:
        return Trouble(CORRECTIONS, nodes.PLANT, None, "")
    recent = now_ns / S_TO_NS - late.numbers.get("noted_s", 0.0) < CORRECTIONS_S
    return Trouble(CORRECTIONS, nodes.PLANT, late.numbers.get("slots", 0.0) if recent else 0.0, late.detail)


def _event(watch: Watch, notice: Notice, site: Site) -> dict[str, Any]:
    head = {"kind": notice.kind, "key": watch.key, "rule": watch.rule, "subject": watch.subject, "who": notice.who}
    times = {"t_ns": notice.t_ns, "t": _rfc3339(notice.t_ns), "since": _rfc3339(notice.since_ns)}
    return head | times | _figures(watch) | _words(watch, notice, site)


def _figures(watch: Watch) -> dict[str, Any]:
    shown = {"value": watch.sample.value, "low": watch.sample.low, "high": watch.sample.high, "limit": watch.limit}
    return shown | {"unit": watch.unit, "document": watch.document, "completeness": watch.completeness}


def _words(watch: Watch, notice: Notice, site: Site) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for language in LANGUAGES:
        words[f"title_{language}"] = texts.title(watch, notice, language)
        words[f"text_{language}"] = texts.body(watch, notice, site.calendar, language)
    return words


def _essence(state: dict[str, Any] | None) -> Any:
    # running times are not worth a write each look: a restart costs what a pending alert has proven since its last change
    if state is None:
        return None
    lasting = ("phase", "since_ns", "sight", "told_ns", "acknowledged_by")
    return {key: [s[name] for name in lasting] for key, s in state["states"].items()}, state["outbox"]


def _state_from(raw: dict[str, Any]) -> AlertState:
    return AlertState(**(raw | {"phase": Phase(raw["phase"]), "condition": Condition(raw["condition"])}))


def _rfc3339(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns // 1_000_000 / 1e3, UTC).isoformat(timespec="milliseconds")
