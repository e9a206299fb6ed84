"""The two calls of InfluxDB's v1 dialect, ``/write`` and ``/query``, and what its answers mean in plant.errors."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import aiohttp
import numpy as np
import numpy.typing as npt
import orjson
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync

from plant.errors import StoreError, StoreMisconfigured, StoreRejected, StoreUnavailable
from plant.site import StoreSettings

GZIP_LEVEL = 1
BEYOND_RETENTION = "beyond retention policy"
_DROPPED = re.compile(r"dropped=(\d+)")
_MISCONFIGURED = ("database not found", "authorization failed", "not authorized", "unable to parse authentication")


class LinesRefused(StoreRejected):
    """400, 413 or 422 for a body; ``dropped`` is how many points InfluxDB says it left out, 0 where it does not say.
    ``beyond_retention``: they are older than the database keeps."""

    def __init__(self, message: str) -> None:
        found = _DROPPED.search(message)
        self.dropped = int(found[1]) if found else 0
        self.beyond_retention = BEYOND_RETENTION in message
        super().__init__(message)


class RowsCut(StoreMisconfigured):
    """The server left rows out of a reply: it has a bound on rows, and the ``rows`` that came are not what was asked for."""

    def __init__(self, message: str, rows: int) -> None:
        self.rows = rows
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Table:
    """One series of a reply: its tags, names of columns, rows with the time in ms first and None where null."""

    tags: Mapping[str, str]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def cells(self) -> npt.NDArray[np.float64]:
        """The rows as float64[row, column], NaN where null; only for columns of numbers."""
        return np.array(self.rows, np.float64).reshape(len(self.rows), len(self.columns))


class InfluxHttp:
    """influxdb-client's asynchronous transport; the client is made on first use, inside the running loop."""

    def __init__(self, settings: StoreSettings, secrets: Mapping[str, str]) -> None:
        self._settings = settings
        self._authorization = _authorization(settings, secrets)
        self._client: Any = None  # InfluxDBClientAsync, whose methods carry no types

    def _open(self) -> Any:
        if self._client is None:
            try:
                self._client = InfluxDBClientAsync(
                    self._settings.url,
                    org="-",
                    timeout=round(self._settings.timeout_s * 1e3),
                    ssl_ca_cert=self._settings.ca_file or None,
                    **self._authorization,
                )
            except OSError as error:
                raise StoreMisconfigured(f"store.ca_file {self._settings.ca_file!r} cannot be used: {error}") from error
        return self._client

    async def write(self, database: str, lines: Sequence[str]) -> None:
        """Store lines with times in ms. Raises LinesRefused, StoreUnavailable, StoreMisconfigured."""
        body = "\n".join(lines).encode()
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._settings.gzip:
            body = await asyncio.to_thread(gzip.compress, body, GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        await self._call("/write", "POST", [("db", database), ("precision", "ms")], headers, body)

    async def select(self, database: str, statement: str) -> list[Table]:
        """Series of one SELECT, all its rows. Raises RowsCut, StoreUnavailable, StoreMisconfigured, StoreError."""
        return await self._query("GET", database, statement)

    async def manage(self, statement: str) -> None:
        """Run one statement that changes databases. Raises as ``select`` does."""
        await self._query("POST", "", statement)

    async def _query(self, method: str, database: str, statement: str) -> list[Table]:
        parameters = [("db", database)] if database else []
        parameters += [("q", statement), ("epoch", "ms")]
        text = await self._call("/query", method, parameters, {"Accept": "application/json"}, None)
        try:
            results = orjson.loads(text)["results"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StoreMisconfigured(f"{self._settings.url} did not answer as InfluxDB does; check store.url") from error
        for result in results:
            if "error" in result:
                self._refuse(200, str(result["error"]))
            series = result.get("series", [])
            if result.get("partial") or any(one.get("partial") for one in series):
                raise RowsCut(
                    f"InfluxDB {self._settings.url} cuts its replies short: set max-row-limit = 0 in its section [http] "
                    "and restart it",
                    sum(len(one.get("values", [])) for one in series),
                )
        return [
            Table(series.get("tags", {}), series["columns"], series.get("values", []))
            for result in results
            for series in result.get("series", [])
        ]

    async def _call(
        self, path: str, method: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes | None
    ) -> bytes:
        try:
            reply = await self._open().api_client.call_api(
                path,
                method,
                {},
                query,
                headers,
                body=body,
                post_params=[],
                files={},
                response_type=None,
                auth_settings=[],
                _return_http_data_only=True,
                collection_formats={},
                _preload_content=False,
            )
            answer = bytes(await reply.read())
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            said = str(error) or f"no answer within {self._settings.timeout_s:g} s"
            raise StoreUnavailable(f"InfluxDB {self._settings.url}: {said}; trying again") from error
        # the client raises nothing for an answer that it leaves unread
        if reply.status >= 300:
            self._refuse(int(reply.status), _words(answer))
        return answer

    def _refuse(self, status: int, words: str) -> NoReturn:
        where = f"InfluxDB {self._settings.url}"
        if status in (401, 403, 404) or any(known in words for known in _MISCONFIGURED):
            raise StoreMisconfigured(
                f"{where}: {status} {words}; check store.url, store.username with its password or token, store.database"
            )
        if status in (400, 413, 422):
            raise LinesRefused(f"{where}: {status} {words}")
        if status in (408, 425, 429) or status >= 500:
            raise StoreUnavailable(f"{where}: {status} {words}; trying again")
        if status >= 300:
            raise StoreMisconfigured(f"{where}: {status} {words}; check store.url and what stands between here and there")
        raise StoreError(f"{where}: {status} {words}")

    async def close(self) -> None:
        """Release the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None


def _words(answer: bytes) -> str:
    """What the server said of an error."""
    try:
        return str(orjson.loads(answer)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return " ".join(answer.decode(errors="replace").split())[:300]


def _authorization(settings: StoreSettings, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of the client for no, Basic and Token authentication. Raises StoreMisconfigured for a secret not set."""
    name = settings.token_env or settings.password_env
    if not name:
        return {}
    secret = secrets.get(name)
    if not secret:
        key = "store.token_env" if settings.token_env else "store.password_env"
        raise StoreMisconfigured(f"{key} names the environment variable {name}, which is not set; set it and start again")
    if settings.token_env:
        return {"token": secret}
    return {"token": f"{settings.username}:{secret}", "auth_basic": True}
