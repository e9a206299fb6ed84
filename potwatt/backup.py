"""A copy of a plant's data folder while the program runs, and a data folder made from such a copy.

Readings, figures and the spool's cursor are those of one instant; the ledger is of that instant too, and the spool was
copied before it: what had left the spool by then is in the store, what had not is in the copy, and what is in both is
recognised when it is sent again. So a restored program goes on with nothing lost that was acknowledged before the backup
began, and nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from plant.errors import InputError, StoreMisconfigured
from plant.ports import SeriesStore
from potwatt.load import Loaded
from storage.embedded import EmbeddedStore

FORMAT = 1
MANIFEST = "backup.json"
STAGED = "backups"  # within the data folder: where a running program may write
SERIES, LEDGER = "series.duckdb", "ledger.sqlite"
_NOT_COPIED = (SERIES, LEDGER, "series.parts", STAGED, "exports")
RESTORING = ".restoring"  # within a data folder: there until everything of a restore is in its place
ROOM_LEFT = 1.1  # the disk has to have this much of what is copied


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished copy: its folder, bytes, and what of the plant is not in it, in words."""

    folder: Path
    byte_count: int
    left_out: tuple[str, ...]


async def back_up(loaded: Loaded, store: SeriesStore, folder: Path, now_ns: int) -> Backup:
    """Copy a plant's data into ``folder``, which must not exist. Raises InputError, StoreError."""
    data = loaded.data_dir
    refuse_half_restored(data)
    refuse_within(data, folder)
    if await asyncio.to_thread(folder.exists):
        raise InputError(f"{folder} exists; name a folder that does not")
    unfinished = folder.with_name(folder.name + ".unfinished")
    await asyncio.to_thread(_make_room, data, unfinished)
    try:
        await asyncio.to_thread(_copy_beside, data, unfinished)
        ledger = _ledger_copier(loaded, unfinished)
        if isinstance(store, EmbeddedStore):
            await store.copy_to(unfinished, ledger)
        else:
            await asyncio.to_thread(ledger)
        left_out = _left_out(loaded)
        await asyncio.to_thread(_keep_private, unfinished)
        byte_count = await asyncio.to_thread(_write_manifest, unfinished, loaded.site.id, now_ns, left_out)
        await asyncio.to_thread(unfinished.rename, folder)
    except OSError as error:
        raise InputError(f"backup into {folder}: {error.strerror or error}; check the disk and its rights") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
    return Backup(folder, byte_count, left_out)


def restore(loaded: Loaded, folder: Path) -> int:
    """Fill an empty data folder from a backup; the number of files. Raises InputError, and then nothing was changed."""
    wanted = _checked(loaded, folder)
    data = loaded.data_dir
    refuse_half_restored(data)
    if data.exists() and any(data.iterdir()):
        raise InputError(f"{data} is not empty; move what is there away first, so that nothing is mixed or written over")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial, moved = data / RESTORING, list[Path]()
    try:
        for name in wanted:
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(folder / name, target)
            _sync(target)
        _keep_private(partial)
        _own(partial, data)
        _sync_folders(partial)
        _sync(data)
        for entry in sorted(partial.iterdir()):
            moved.append(entry.rename(data / entry.name))
        _sync(data)  # before the mark goes: what a power cut leaves without it is whole
        partial.rmdir()
        _sync(data)
    except OSError as error:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(f"{data}: {error.strerror or error}; check the disk and its rights") from error
    return len(wanted)


def refuse_half_restored(data: Path) -> None:
    """Raises InputError where a restore was killed half way: what is there looks whole and is not."""
    if (data / RESTORING).exists():
        raise InputError(f"{data}: a restore broke off here; empty this folder and restore again")


def refuse_within(data: Path, folder: Path) -> None:
    """Raises InputError for a backup into the data folder, other than where they are staged: it would copy itself the next
    time, and be lost with what it was taken of."""
    within = folder.resolve()
    if within.is_relative_to(data.resolve()) and not within.is_relative_to(data.resolve() / STAGED):
        raise InputError(f"{folder} is within {data}, what is copied; name a folder elsewhere, best on another disk")


def _checked(loaded: Loaded, folder: Path) -> list[str]:
    """Names of the files of a backup that is whole and of this plant. Raises InputError."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        found, plant, files = manifest["format"], manifest["plant"], dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is not a whole backup ({error}); name a folder that `potwatt backup` made") from error
    if found != FORMAT:
        raise InputError(f"{folder} has backup format {found}, this potwatt reads {FORMAT}; use the potwatt that wrote it")
    if plant != loaded.site.id:
        raise InputError(f"{folder} is of plant {plant!r}, {loaded.name} is of {loaded.site.id!r}; name the site it belongs to")
    for name, (size, digest) in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{folder}: {name!r} lies outside of it; this manifest was not written by potwatt")
        if not path.is_file() or path.stat().st_size != size or _digest(path) != digest:
            raise InputError(f"{path} is not as it was written; take another backup")
    return list(files)


def _make_room(data: Path, unfinished: Path) -> None:
    unfinished.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.rmtree(unfinished, ignore_errors=True)
    needed = sum(path.stat().st_size for path in _files(data) if path.relative_to(data).parts[0] not in (STAGED, "exports"))
    free = shutil.disk_usage(unfinished.parent).free
    if free < needed * ROOM_LEFT:
        raise InputError(
            f"a backup needs about {needed >> 20} MiB and {unfinished.parent} has {free >> 20} MiB left; free some room there"
        )
    unfinished.mkdir(mode=0o700)


def _copy_beside(data: Path, target: Path) -> None:
    """The spool, quarantine and sessions. Cursors come before segments: a segment that has gone meanwhile was passed by
    every cursor, and is in the store that is copied later."""
    found = [path for path in _files(data) if not path.relative_to(data).parts[0].startswith(_NOT_COPIED)]
    for path in sorted(found, key=lambda path: (path.suffix != ".cursor", path)):
        if path.name == "lock" or path.suffix == ".tmp":
            continue
        copy = target / path.relative_to(data)
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue
        _sync(copy)


def _ledger_copier(loaded: Loaded, target: Path) -> Callable[[], None]:
    source = loaded.data_dir / LEDGER
    if loaded.site.ledger_url:
        return lambda: None

    def copy() -> None:
        # SQLite's own copy of a file in use: a plain one could miss what is still in its log
        try:
            with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target / LEDGER)) as copied:
                original.backup(copied)
                found = copied.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            found = str(error)
        if found != "ok":
            raise StoreMisconfigured(
                f"the ledger {source} cannot be copied whole ({' '.join(found.split())}); check its disk, and restore the ledger "
                "from an earlier backup"
            )
        _sync(target / LEDGER)

    return copy


def _left_out(loaded: Loaded) -> tuple[str, ...]:
    site = loaded.site
    left_out = []
    if site.store.kind != "embedded":
        left_out.append(f"readings and figures: they are in the {site.store.kind} store, which has a backup of its own")
    if site.ledger_url:
        left_out.append("the ledger: it is where plant.ledger_url says; a PostgreSQL is backed up with pg_dump")
    return tuple(left_out)


def _write_manifest(folder: Path, plant: str, now_ns: int, left_out: tuple[str, ...]) -> int:
    files = {path.relative_to(folder).as_posix(): (path.stat().st_size, _digest(path)) for path in sorted(_files(folder))}
    taken_at = datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat()
    body = {"format": FORMAT, "plant": plant, "taken_at": taken_at, "left_out": left_out, "files": files}
    (folder / MANIFEST).write_text(json.dumps(body, indent=1, ensure_ascii=False), "utf-8")
    _sync(folder / MANIFEST)
    _sync_folders(folder)
    return sum(size for size, _ in files.values())


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        yield from (path for name in names if (path := Path(root, name)).is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keep_private(folder: Path) -> None:
    """What a plant measures and signs is its own: nobody else on the machine may read it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)


def _own(folder: Path, like: Path) -> None:
    """Files that root restores belong to whoever the data folder belongs to."""
    if os.geteuid() == 0:
        owner = like.stat()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)


def _sync_folders(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
