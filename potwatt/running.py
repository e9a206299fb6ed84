"""What the running program of a site can be asked over its API: whether it is there, and the last reading of a meter."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from devices.maps import Profile
from plant.errors import InputError, TransportError
from plant.site import Meter
from potwatt.load import Loaded

TIMEOUT_S = 5.0
PATIENT_S = 6 * 3_600.0  # what a backup of years may take
SLOW_S = 60.0
KEY_VARIABLE = "POTWATT_API_KEY"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (what a server may listen on, not what is asked)


@dataclass(frozen=True, slots=True)
class LastReading:
    """What is stored last of a meter: value and quality by quantity, the newest instant (UTC ns), and by quantity the instant
    of those that are ``older``."""

    t_ns: int
    value: dict[str, float | None]
    quality: dict[str, int]
    older: dict[str, int]


def is_running(loaded: Loaded) -> bool:
    """Whether anything listens where the site's API is."""
    api = loaded.site.api
    try:
        socket.create_connection((_ANYWHERE.get(api.host, api.host), api.port), timeout=1.0).close()
    except OSError:
        return False
    return True


def last_reading(loaded: Loaded, meter: Meter, profile: Profile) -> LastReading:
    """The newest reading from the running program, of the last minutes, or day for a slow meter.

    Raises TransportError or InputError in words.
    """
    start = "-5m" if meter.poll_interval_s < SLOW_S else "-24h"
    series = {
        name: _get(loaded, f"/api/v1/plants/{loaded.site.id}/series", meter=meter.id, quantity=name, start=start)
        for name in profile.quantities
    }
    # a poll may fall between two requests, and a device may send its quantities apart: each one's own last reading counts
    last_ms = {name: int(found["t_ms"][-1]) for name, found in series.items() if found["t_ms"]}
    if not last_ms:
        raise InputError(
            f"the running program has no reading of {meter.id} of the last {start[1:]}; its health says why: GET /metrics"
        )
    newest = max(last_ms.values())
    return LastReading(
        newest * 1_000_000,
        {name: found["value"][-1] if name in last_ms else None for name, found in series.items()},
        {name: int(found["quality"][-1]) if name in last_ms else 0 for name, found in series.items()},
        {name: t_ms * 1_000_000 for name, t_ms in last_ms.items() if t_ms < newest},
    )


def ask(loaded: Loaded, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of the running program to a POST that may take long. Raises TransportError in words."""
    return _answer(loaded, path, json.dumps(body).encode(), PATIENT_S, "an editor's")


def fetch(loaded: Loaded, path: str) -> dict[str, Any]:
    """The answer of the running program to a GET that may take long. Raises TransportError in words."""
    return _answer(loaded, path, None, PATIENT_S, "a viewer's")


def holds_files(loaded: Loaded) -> bool:
    """Whether a running program has the site's embedded files, which no second process may open."""
    return loaded.site.store.kind != "influxdb" and is_running(loaded)


def _detail(error: urllib.error.HTTPError) -> str:
    """What the program said of its refusal."""
    try:
        return f": {json.load(error)['detail']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _get(loaded: Loaded, path: str, **query: str) -> dict[str, Any]:
    parameters = urllib.parse.urlencode(query | {"max_points": "20000"})
    return _answer(loaded, f"{path}?{parameters}", None, TIMEOUT_S, "a viewer's")


def _answer(loaded: Loaded, path: str, body: bytes | None, timeout_s: float, whose: str) -> dict[str, Any]:
    api = loaded.site.api
    host = _ANYWHERE.get(api.host, api.host)
    where = f"{'https' if api.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{api.port}"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{where}{path}", body, headers)  # noqa: S310 (http and https alone, made above)
    key = os.environ.get(KEY_VARIABLE, "")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    context = ssl.create_default_context(cafile=str(loaded.folder / api.tls_cert)) if api.tls_cert else None
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=context) as answer:  # noqa: S310
            found = json.load(answer)
        if not isinstance(found, dict):
            raise ValueError(f"{type(found).__name__} instead of an object")
        return found
    except urllib.error.HTTPError as error:
        if error.code < 500 and not error.headers.get_content_type().endswith("json"):
            raise _foreign(where, f"{error.code} {error.reason} to {path}") from error
        hint = f"; put {whose} key into {KEY_VARIABLE}" if error.code in (401, 403) else _detail(error)
        raise TransportError(f"{where} answered {error.code} to {path}{hint}") from error
    except OSError as error:
        raise TransportError(f"no answer from {where}: {error}; check that `potwatt run` serves there") from error
    except (ValueError, http.client.HTTPException) as error:
        raise _foreign(where, str(error)) from error


def _foreign(where: str, told: str) -> TransportError:
    return TransportError(
        f"what answers at {where} is not potwatt (it told: {told}); end that server, or set another api.port in the site file"
    )
