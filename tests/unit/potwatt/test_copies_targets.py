"""Where copies may go, which kind of file is meant, and who is asked: refused before anything is done."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli import potwatt, site

from plant.errors import InputError
from potwatt.backup import refuse_within
from potwatt.copies_cli import Kind, kind_of

__all__ = ["site"]


@pytest.mark.parametrize(
    ("file", "asked", "meant"),
    [
        ("y.csv", None, "csv"),
        ("y.CSV", None, "csv"),
        ("y.parquet", None, "parquet"),
        ("y.dat", None, "parquet"),
        ("y", "csv", "csv"),
        ("y.csv", "csv", "csv"),
    ],
)
def test_the_kind_of_an_export_is_that_of_its_ending(file: str, asked: Kind | None, meant: Kind) -> None:
    assert kind_of(Path(file), asked) == meant


@pytest.mark.parametrize(("file", "asked"), [("y.csv", "parquet"), ("y.parquet", "csv")])
def test_an_ending_that_contradicts_the_format_is_refused(file: str, asked: Kind) -> None:
    with pytest.raises(InputError, match=f"--format says {asked}"):
        kind_of(Path(file), asked)


def test_a_backup_within_what_is_copied_is_refused(tmp_path: Path) -> None:
    for name in ("data/copy", "data/spool/copy", "data/x/../copy"):
        with pytest.raises(InputError, match="name a folder elsewhere"):
            refuse_within(tmp_path / "data", tmp_path / name)
    for name in ("copy", "data/backups/copy", "data-copy"):
        refuse_within(tmp_path / "data", tmp_path / name)


class Foreign(http.server.BaseHTTPRequestHandler):
    asked: tuple[str, ...] = ()

    def do_POST(self) -> None:
        type(self).asked += (self.path,)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def foreign(site: Path) -> Iterator[Path]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    site.write_text(site.read_text("utf-8").replace("port = 8000", f"port = {server.server_port}"), "utf-8")
    Foreign.asked = ()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_foreign_server_on_the_port_is_named_as_one(foreign: Path) -> None:
    done = potwatt("backup", "copy", "--site", "site.toml", cwd=foreign.parent)
    assert done.returncode != 0
    assert "is not potwatt" in done.stderr
    assert "api.port" in done.stderr


def test_a_folder_that_cannot_be_made_is_refused_before_anybody_works(foreign: Path) -> None:
    (foreign.parent / "file").touch()
    done = potwatt("backup", "file/bar/copy", "--site", "site.toml", cwd=foreign.parent)
    assert done.returncode == 2
    assert "name a folder that can be written to" in done.stderr
    assert Foreign.asked == ()
