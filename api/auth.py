"""Keys of the API: who may read and who may write, and where the API may listen.

A key reads ``<name>.<secret>``. The file keeps name, role and a salted scrypt hash of the secret, never the secret:

    [[key]]
    name = "scada"
    role = "viewer"
    salt = "<base64>"
    hash = "<base64>"
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import secrets
import tomllib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from plant.errors import ConfigError, Fault, InputError
from plant.site import ApiSettings

_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}  # 16 MiB and some 50 ms a guess
_REMEMBERED = 256  # keys already proven, by digest, so that a second request costs no scrypt
_NO_SALT = bytes(16)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Role(IntEnum):
    """What a caller may do; a higher role may all that a lower one may."""

    VIEWER = 1
    EDITOR = 2


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the keys file."""

    name: str
    role: Role
    salt: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request."""

    name: str
    role: Role


LOCAL = Caller("local", Role.EDITOR)  # without keys the API listens on loopback alone


class Keys:
    """All keys of a plant; ``identify`` bounds the scrypt runs at any time to two."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._by_name = {key.name: key for key in keys}
        self._proven: OrderedDict[bytes, Caller] = OrderedDict()
        self._gate = asyncio.Semaphore(2)

    def __len__(self) -> int:
        return len(self._by_name)

    def names(self) -> frozenset[str]:
        """Names of the keys."""
        return frozenset(self._by_name)

    async def identify(self, token: str) -> Caller | None:
        """The caller who holds the token, None when it is not valid."""
        fingerprint = hashlib.sha256(token.encode()).digest()
        proven = self._proven.get(fingerprint)
        if proven is not None:
            return proven
        name, _, secret = token.partition(".")
        if not secret:
            return None
        key = self._by_name.get(name)
        async with self._gate:  # an unknown name takes as long as a wrong secret, so that answers tell no names
            digest = await asyncio.to_thread(_hash, secret, _NO_SALT if key is None else key.salt)
        if key is None or not hmac.compare_digest(digest, key.digest):
            return None
        caller = self._proven[fingerprint] = Caller(key.name, key.role)
        if len(self._proven) > _REMEMBERED:
            self._proven.popitem(last=False)
        return caller


def parse_keys(text: str, file: str) -> Keys:
    """Keys from the text of a keys file. Raises ConfigError with every fault; never repeats salt or hash."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(file, "TOML", str(error), "mend the syntax at that line")]) from error
    faults = [Fault(file, name, "no part of a keys file", "nothing but [[key]]") for name in found if name != "key"]
    rows = found.get("key", [])
    if not isinstance(rows, list):
        faults.append(Fault(file, "key", repr(type(rows).__name__), "tables headed [[key]]"))
        rows = []
    keys: dict[str, Key] = {}
    for number, row in enumerate(rows, start=1):
        key = _key(row, f"key[{number}]", file, faults)
        if key is not None and key.name in keys:
            faults.append(Fault(file, f"key[{number}].name", repr(key.name), "a name used once"))
        elif key is not None:
            keys[key.name] = key
    if faults:
        raise ConfigError(faults)
    return Keys(keys.values())


def new_key(name: str, role: Role) -> tuple[str, str]:
    """(key to hand out once, rows to append to the keys file). Raises ValueError for a name that the file cannot hold."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"found name {name!r}; use lower-case letters, digits, - and _, at most 63")
    secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    digest = _hash(secret, salt)
    row = (
        f'[[key]]\nname = "{name}"\nrole = "{role.name.lower()}"\n'
        f'salt = "{base64.b64encode(salt).decode()}"\nhash = "{base64.b64encode(digest).decode()}"\n'
    )
    return f"{name}.{secret}", row


def add_key(file: Path, name: str, role: str) -> str:
    """Append a new key to a keys file (made readable by its owner alone) and return the key, to be shown once.

    Raises InputError for a wrong name or role or a name already there, ConfigError when the file is faulty.
    """
    roles = [r.name.lower() for r in Role]
    if role not in roles:
        raise InputError(f"found role {role!r}; give one of {', '.join(roles)}")
    text = file.read_text("utf-8") if file.exists() else ""
    try:
        key, row = new_key(name, Role[role.upper()])
    except ValueError as error:
        raise InputError(str(error)) from None
    if name in parse_keys(text, str(file)).names():
        raise InputError(f"{file} already has a key named {name!r}; choose another name or remove that one first")
    file.touch(mode=0o600)
    file.chmod(0o600)  # one that was there keeps its mode otherwise
    with file.open("a", encoding="utf-8") as out:
        out.write(f"\n{row}" if text else row)
    return key


def is_loopback(host: str) -> bool:
    """Whether a name or address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_unsafe_binding(settings: ApiSettings, have_keys: bool, file: str = "site file") -> None:
    """Raise ConfigError when the API would listen beyond loopback without TLS and at least one key."""
    if is_loopback(settings.host):
        return
    faults: list[Fault] = []
    if not (settings.tls_cert and settings.tls_key):
        faults.append(
            Fault(
                file,
                "api.tls_cert, api.tls_key",
                "nothing",
                f"both are required to listen on {settings.host}, or set host = 127.0.0.1",
            )
        )
    if not have_keys:
        faults.append(
            Fault(
                file,
                "api.keys_file",
                "no key",
                f"at least one key is required to listen on {settings.host}; `potwatt keys add` makes one",
            )
        )
    if faults:
        raise ConfigError(faults)


def _hash(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, **_SCRYPT)


def _key(row: Any, where: str, file: str, faults: list[Fault]) -> Key | None:
    known = {"name", "role", "salt", "hash"}
    if not isinstance(row, dict) or set(row) != known:
        faults.append(Fault(file, where, f"keys {sorted(row) if isinstance(row, dict) else row!r}", f"exactly {sorted(known)}"))
        return None
    before = len(faults)
    if not _NAME.fullmatch(str(row["name"])):
        faults.append(Fault(file, f"{where}.name", repr(row["name"]), "lower-case letters, digits, - and _"))
    roles = [role.name.lower() for role in Role]
    if row["role"] not in roles:
        faults.append(Fault(file, f"{where}.role", repr(row["role"]), f"one of {', '.join(roles)}"))
    salt, digest = _bytes(row["salt"]), _bytes(row["hash"])
    if len(salt) < 16 or len(digest) != _SCRYPT["dklen"]:
        faults.append(
            Fault(
                file,
                f"{where}.salt, .hash",
                "no base64 of at least 16 and exactly 32 bytes",
                "the rows that `potwatt keys add` writes",
            )
        )
    if len(faults) > before:
        return None
    return Key(row["name"], Role[row["role"].upper()], salt, digest)


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return b""
