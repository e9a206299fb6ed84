"""Bulk answers: orjson straight to bytes, numpy arrays included, NaN as null."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi.responses import Response

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def json_answer(body: Any, status: int = 200) -> Response:
    """A JSON response that no client keeps."""
    return json_bytes(dumped(body), status)


def dumped(body: Any) -> bytes:
    """A document as JSON. Analytics hand on numbers as numpy left them."""
    return orjson.dumps(body, option=_OPTIONS)


def json_bytes(body: bytes, status: int = 200) -> Response:
    """A ready JSON document as a response that no client keeps."""
    return Response(body, status, {"Cache-Control": "no-store"}, "application/json")
