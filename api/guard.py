"""The outermost layer of the API: host and origin, bounded bodies, security headers, a word for every defect. Plain ASGI, so
streams pass untouched."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import is_loopback
from api.problem import Problem, respond

BODY_MAX_BYTES = 64 * 1024
_TOO_LARGE = f"a request body may hold {BODY_MAX_BYTES} bytes; send fewer entries at a time"
_log = structlog.get_logger(__name__)
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """``loopback_only``: without keys the Host header must name this machine, or a foreign page could rebind its name to it."""

    app: ASGIApp
    loopback_only: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        problem = self._refusal(request)
        answer = _Answer(send)
        if problem is not None:
            await respond(request, problem)(scope, receive, answer)
            return
        try:
            await self.app(scope, _bounded(receive), answer)
        except Exception as error:
            if answer.begun:
                raise
            _log.exception("request failed", path=request.url.path)
            await respond(request, _defect(error))(scope, receive, answer)

    def _refusal(self, request: Request) -> Problem | None:
        headers = request.headers
        host = headers.get("host", "")
        if self.loopback_only and not is_loopback(_host_name(host)):
            return Problem(
                421,
                "foreign-host",
                "Host not served here",
                f"Host {host!r} does not name this machine; use 127.0.0.1 or localhost",
            )
        through = next((name for name in headers if name == "forwarded" or name.startswith("x-forwarded-")), None)
        if self.loopback_only and through is not None:
            return Problem(
                403,
                "proxied-without-keys",
                "Through a proxy a key is required",
                f"header {through!r} says that a proxy passed this on, and without keys every caller may write; "
                "make keys with `potwatt keys add` and name the file in api.keys_file",
            )
        if request.method in _SAFE:
            return None
        return _unsafe_refusal(request, headers, host)


def _unsafe_refusal(request: Request, headers: Headers, host: str) -> Problem | None:
    origin = headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{host}":
        return Problem(
            403, "foreign-origin", "Foreign origin", f"Origin {origin!r} may not write here; post from the page itself"
        )
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return Problem(403, "foreign-origin", "Foreign origin", "another site sent this request; post from the page itself")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return Problem(415, "not-json", "Not JSON", "found another Content-Type; send the body as application/json")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY_MAX_BYTES:
        return _too_large()
    return None


def _too_large() -> Problem:
    return Problem(413, "too-large", "Body too large", _TOO_LARGE)


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_MAX_BYTES:
            raise HTTPException(413, _TOO_LARGE)  # FastAPI turns any other error while it reads a body into a 400
        return message

    return bounded


@dataclass(slots=True)
class _Answer:
    """Passes an answer on with the security headers, and knows whether it has begun."""

    send: Send
    begun: bool = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self.send(message)


def _defect(error: Exception) -> Problem:
    return Problem(500, "internal", "The request failed", f"{type(error).__name__}; the log has the details")
