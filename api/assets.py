"""The page's files, held in memory: our own from the package, the drawing library from the distribution installed beside us."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.problem import unknown
from plant.errors import ConfigError, Fault

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_LIBRARY = ("XStatic-D3", "xstatic/pkg/d3/data/d3.js", "d3.js")  # D3 3.5, BSD licence, no dependency of its own


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    media_type: str
    body: bytes
    zipped: bytes
    etag: str


def load_assets() -> dict[str, Asset]:
    """Every file of the page by name. Raises ConfigError when the drawing library is not installed."""
    found = {f.name: f.read_bytes() for f in (resources.files("api") / "web").iterdir() if Path(f.name).suffix in _TYPES}
    package, path, name = _LIBRARY
    try:
        found[name] = Path(str(distribution(package).locate_file(path))).read_bytes()
    except (PackageNotFoundError, OSError) as error:
        raise ConfigError([Fault("page", package, "not installed", f"`pip install {package}` beside potwatt")]) from error
    return {file: _asset(file, body) for file, body in found.items()}


def asset_router(assets: dict[str, Asset]) -> APIRouter:
    """The page at ``/`` and its files under ``/web/``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page(request: Request) -> Response:
        return _send(request, assets["index.html"])

    @router.get("/web/{name}")
    async def file(request: Request, name: str) -> Response:
        if name not in assets:
            raise unknown("file", name, assets)
        return _send(request, assets[name])

    return router


def _asset(name: str, body: bytes) -> Asset:
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return Asset(_TYPES[Path(name).suffix], body, gzip.compress(body, 9, mtime=0), tag)


def _send(request: Request, asset: Asset) -> Response:
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.zipped, headers=headers | {"Content-Encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.body, headers=headers, media_type=asset.media_type)
