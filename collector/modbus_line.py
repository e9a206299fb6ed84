"""The connection to a Modbus TCP endpoint. The only module that knows pymodbus.

One connection, one request in flight: many gateways take no second one. pymodbus never retries, never reconnects by
itself and never times out before we do, since its own ways of doing so hide lost lines and take late answers for new ones.
"""

from __future__ import annotations

import asyncio

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from devices.dialogue import Answer, MeterAddress, Refused
from devices.maps import BIT_TABLES
from devices.plan import ReadRequest
from plant.errors import DeviceNonsense, DeviceSilent, PotwattError, TransportError
from plant.ports import Clock
from plant.site import Endpoint

SILENCES_MAX = 8  # unanswered requests in a row, of whatever meters, after which the line itself is suspect
GATEWAY_TARGET_SILENT = 11


class ModbusLine:
    """The connection to an endpoint: requests with our time-out, answers checked, errors in our own tree."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint, self._clock = endpoint, clock
        self._where = f"{endpoint.host}:{endpoint.port}"
        self._client: AsyncModbusTcpClient | None = None
        self._deadline: asyncio.Timeout | None = None
        self._silences = 0

    async def connect(self) -> None:
        """Open the connection. Raises TransportError."""
        self.close()
        self._silences = 0
        timeout_s = self._endpoint.timeout_s
        client = AsyncModbusTcpClient(
            self._endpoint.host,
            port=self._endpoint.port,
            name=self._endpoint.id,
            timeout=2 * timeout_s + 1,  # ours comes first
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )
        try:
            async with asyncio.timeout(timeout_s):
                connected = await client.connect()
        except TimeoutError:
            client.close()
            raise TransportError(
                f"no connection to {self._where} within {timeout_s:g} s; check address, network and firewall"
            ) from None
        if not connected:
            raise TransportError(f"no connection to {self._where}; check that the device is on and listens on that port")
        self._client = client
        await self._clock.sleep(self._endpoint.pause_after_connect_s)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, request: ReadRequest, unit: int, meter: MeterAddress) -> Answer:
        """Ask once. Raises DeviceSilent, DeviceNonsense (wrong length or kind of answer) or TransportError (line lost)."""
        client = self._client
        if client is None or not client.connected:
            raise self._lost()
        try:
            async with asyncio.timeout(self._endpoint.timeout_s) as self._deadline:
                response = await _ask(client, request, unit)
        except TimeoutError:
            raise self._unanswered(client, request, meter) from None
        except ModbusException as error:
            raise translated(error, request, meter) from error
        finally:
            self._deadline = None
        self._silences = 0
        if self._endpoint.pause_between_s:
            await self._clock.sleep(self._endpoint.pause_between_s)
        return _checked(response, request, meter)

    def _connection_changed(self, connected: bool) -> None:
        """End the wait for an answer at once when the line is lost: pymodbus itself would sit out the time-out."""
        if not connected and self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    def _unanswered(self, client: AsyncModbusTcpClient, request: ReadRequest, meter: MeterAddress) -> PotwattError:
        if not client.connected:
            return self._lost()
        self._silences += 1
        if self._silences >= SILENCES_MAX:
            return TransportError(f"{self._where} left {self._silences} requests in a row unanswered; connecting anew")
        return _silent(request, meter, f"no answer within {self._endpoint.timeout_s:g} s")

    def _lost(self) -> TransportError:
        return TransportError(f"the connection to {self._where} was closed from there; connecting anew")


async def _ask(client: AsyncModbusTcpClient, request: ReadRequest, unit: int) -> ModbusPDU:
    match request.table:
        case "holding":
            return await client.read_holding_registers(request.address, count=request.count, device_id=unit)
        case "input":
            return await client.read_input_registers(request.address, count=request.count, device_id=unit)
        case "coil":
            return await client.read_coils(request.address, count=request.count, device_id=unit)
        case "discrete":
            return await client.read_discrete_inputs(request.address, count=request.count, device_id=unit)


def _checked(response: ModbusPDU, request: ReadRequest, meter: MeterAddress) -> Answer:
    """The words of an answer, or the exception in it."""
    if response.isError():
        if response.exception_code == GATEWAY_TARGET_SILENT:
            raise _silent(request, meter, "the gateway's word that the unit does not answer it")
        return Refused(response.exception_code)
    # Bits come filled up to whole bytes.
    words = [int(bit) for bit in response.bits[: request.count]] if request.table in BIT_TABLES else response.registers
    if len(words) != request.count:
        raise DeviceNonsense(
            meter.meter,
            meter.where,
            expected=f"{request.count} words from {request.table} {request.address}",
            got=str(len(words)),
            next_step="the answer is thrown away; check the profile's largest request and the gateway",
        )
    return words


def _silent(request: ReadRequest, meter: MeterAddress, got: str) -> DeviceSilent:
    return DeviceSilent(
        meter.meter,
        meter.where,
        expected=f"{request.count} words from {request.table} {request.address}",
        got=got,
        next_step="check power, wiring and unit number; it is asked again with growing pauses",
    )


def translated(error: ModbusException, request: ReadRequest, meter: MeterAddress) -> PotwattError:
    """An exception of pymodbus as one of ours: lost lines are the line's, everything else is the meter's answer."""
    if isinstance(error, ConnectionException):
        return TransportError(f"the connection to {meter.where} failed: {error.string}; connecting anew")
    return DeviceNonsense(
        meter.meter,
        meter.where,
        expected=f"an answer of {request.count} words from {request.table} {request.address}",
        got=error.string,
        next_step="check that the device speaks Modbus TCP and not another protocol",
    )
