"""Errors as RFC 9457 problem documents: what was found, where, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from plant.errors import InputError, PotwattError

MEDIA_TYPE = "application/problem+json"
_ALLOWED_SHOWN = 50


class Problem(Exception):
    """A request that cannot be answered. ``kind`` names it for machines, ``detail`` tells a person what to do."""

    def __init__(self, status: int, kind: str, title: str, detail: str, **more: Any) -> None:
        self.status, self.kind, self.title, self.detail, self.more = status, kind, title, detail, more
        super().__init__(detail)


def unknown(what: str, found: str, allowed: Iterable[str], *, status: int = 404) -> Problem:
    """A name that does not exist, with the names that do."""
    names = sorted(allowed)
    shown = ", ".join(names[:_ALLOWED_SHOWN]) or "none is defined"
    return Problem(
        status,
        f"unknown-{what.replace(' ', '-')}",
        f"Unknown {what}",
        f"{what} {found!r} does not exist here; allowed: {shown}",
        found=found,
        allowed=names[:_ALLOWED_SHOWN],
    )


def body_of(problem: Problem, instance: str) -> bytes:
    """The document as JSON."""
    return orjson.dumps(
        {
            "type": f"urn:potwatt:problem:{problem.kind}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
            "instance": instance,
            **problem.more,
        }
    )


def respond(request: Request, problem: Problem) -> Response:
    """The problem as a response; 401 names the scheme, 503 asks to come back."""
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}.get(problem.status)
    return Response(body_of(problem, request.url.path), problem.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem document."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return respond(request, error)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return respond(request, _from_http(request, error))

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        return respond(request, _from_validation(error))

    @app.exception_handler(PotwattError)
    async def _potwatt(request: Request, error: PotwattError) -> Response:
        return respond(request, _from_tree(error))


def _from_http(request: Request, error: HTTPException) -> Problem:
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"{request.method} {request.url.path}: {error.detail}; /openapi.json lists every route and method"
    return Problem(error.status_code, phrase.lower().replace(" ", "-"), phrase, detail)


def _from_validation(error: RequestValidationError) -> Problem:
    faults = [
        {"where": ".".join(str(part) for part in e["loc"]), "found": repr(e.get("input"))[:200], "allowed": e["msg"]}
        for e in error.errors()
    ]
    detail = "; ".join(f"{f['where']}: found {f['found']}, {f['allowed']}" for f in faults[:5])
    return Problem(422, "invalid-request", "The request does not fit its schema", detail, faults=faults[:_ALLOWED_SHOWN])


def _from_tree(error: PotwattError) -> Problem:
    kind = type(error).__name__
    if isinstance(error, InputError):
        return Problem(422, "invalid-input", "The input is wrong", str(error))
    if error.transient:
        return Problem(503, "unavailable", "A part that is needed does not answer", f"{kind}: {error}; try again in some seconds")
    return Problem(500, "internal", "The request failed", f"{kind}: {error}")
