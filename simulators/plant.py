"""The whole simulated plant behind one object: devices, broker, publisher, site file, history and truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devices.catalog import shipped_profiles
from plant.config import parse_site
from plant.errors import InputError
from plant.frame import FrameBlock
from plant.ports import Clock
from simulators.broker import Broker, broker_for
from simulators.demo_site import demo_site_toml
from simulators.modbus_server import SimulatedGateway, UnitMode
from simulators.mqtt_publisher import MqttPublisher
from simulators.noise import NS_PER_S
from simulators.ports import choose_ports
from simulators.readings import Readings
from simulators.smelter import SmelterModel
from simulators.truth import Truth

_DAY_NS = 86_400 * NS_PER_S
_HOUR_NS = 3600 * NS_PER_S
_STATE_FILE = "simulated-plant.json"
_API_PORT = 8000
_COUNTED_BEFORE_DAYS = 40


@dataclass(frozen=True, slots=True)
class _State:
    """What makes the plant of a directory the same one after a restart. The scales keep their taps from ``scales_told_ns`` on."""

    seed: int
    epoch_ns: int
    scales_told_ns: int
    ports: dict[str, int]


class SimulatedPlant:
    """A smelter that is a function of absolute time: stopped and started again on its directory, it has run meanwhile.

    ``data_dir`` keeps its ports and what the broker holds. Raises InputError when the directory belongs to another seed.
    """

    def __init__(self, seed: int, data_dir: Path, clock: Clock) -> None:
        self.data_dir, self._clock = data_dir, clock
        data_dir.mkdir(parents=True, exist_ok=True)
        state = _load(data_dir / _STATE_FILE, seed) or _new_state(seed, clock.now_ns())
        self.ports = choose_ports(state.ports)
        self._state = _State(seed, state.epoch_ns, state.scales_told_ns, asdict(self.ports))
        self._save()
        self.broker: Broker = broker_for(self.ports.broker, data_dir / "broker")
        self.model = SmelterModel(seed, state.epoch_ns)
        self.truth = Truth(self.model)
        self.site = parse_site(self.site_toml(api_port=_API_PORT), "demo site")
        self.readings = Readings(self.model, self.site, shipped_profiles())
        self.gateways = self._gateways()
        self._publisher: MqttPublisher | None = None
        self._running = AsyncExitStack()

    def site_toml(self, *, api_port: int, data_dir: str | None = None) -> str:
        """The site file that fits this plant; ``data_dir`` of the service is the plant's own unless another is given."""
        folder = str(self.data_dir.resolve()) if data_dir is None else data_dir
        return demo_site_toml(self.ports, api_port=api_port, data_dir=folder, mqtt_version=self.broker.mqtt_version)

    def history_blocks(self, start_ns: int, end_ns: int, step_s: int = 60) -> Iterator[list[FrameBlock]]:
        """Readings and taps of [start, end), day by day, as the meters would have been read; see ``Readings``."""
        return self.readings.history_blocks(start_ns, end_ns, step_s)

    def set_mode(self, meter_id: str, mode: UnitMode) -> None:
        """Switch a Modbus meter to another behaviour. Raises KeyError for one that publishes."""
        endpoint = self.site.meters[meter_id].endpoint
        self.gateways[endpoint].set_mode(meter_id, mode)

    async def start(self) -> None:
        """Start broker, devices and publisher; on failure what was started is stopped. Raises TransportError."""
        async with AsyncExitStack() as stack:
            await self.broker.start()
            stack.push_async_callback(self.broker.stop)
            for gateway in self.gateways.values():
                await gateway.start()
                stack.push_async_callback(gateway.stop)
            self._publisher = self._new_publisher()
            await self._publisher.start()
            stack.push_async_callback(self._publisher.stop)
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Stop all that ``start`` started, in reverse, and remember which taps were told."""
        await self._running.aclose()
        if self._publisher is not None:
            self._state = _State(self._state.seed, self._state.epoch_ns, self._publisher.scales_told_until_ns, self._state.ports)
            self._save()
            self._publisher = None

    def _gateways(self) -> dict[str, SimulatedGateway]:
        endpoints = (e for e in self.site.endpoints.values() if e.protocol == "modbus_tcp")
        return {
            endpoint.id: SimulatedGateway(
                endpoint, [m for m in self.site.meters.values() if m.endpoint == endpoint.id], self.readings, self._clock
            )
            for endpoint in endpoints
        }

    def _new_publisher(self) -> MqttPublisher:
        endpoint = next(e for e in self.site.endpoints.values() if e.protocol == "mqtt")
        meters = [m for m in self.site.meters.values() if m.endpoint == endpoint.id]
        now_ns = self._clock.now_ns()
        return MqttPublisher(
            endpoint, meters, self.readings, self._clock, since_ns=now_ns, taps_since_ns=min(self._state.scales_told_ns, now_ns)
        )

    def _save(self) -> None:
        file = self.data_dir / _STATE_FILE
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self._state), indent=1), "utf-8")
        fresh.replace(file)


def _new_state(seed: int, now_ns: int) -> _State:
    """A plant whose energies are counted from a midnight far enough back for its first history.

    The scales still hold the last hour's taps, which covers the slot that history and live readings share.
    """
    return _State(seed, now_ns // _DAY_NS * _DAY_NS - _COUNTED_BEFORE_DAYS * _DAY_NS, now_ns - _HOUR_NS, {})


def _load(file: Path, seed: int) -> _State | None:
    """The state of an earlier run, None where there was none."""
    if not file.exists():
        return None
    try:
        raw: dict[str, Any] = json.loads(file.read_text("utf-8"))
        state = _State(int(raw["seed"]), int(raw["epoch_ns"]), int(raw["scales_told_ns"]), dict(raw["ports"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file}: not the state of a simulated plant ({error}); remove the file or use another directory"
        ) from error
    if state.seed != seed:
        raise InputError(f"{file}: this directory belongs to seed {state.seed}, not {seed}; give that seed or another directory")
    return state
