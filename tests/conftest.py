"""Real servers that several test packages share."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from mosquitto_server import MosquittoServer
from real_servers import free_port, listens, program, running

settings.register_profile("potwatt", deadline=None)  # no test measures time
settings.load_profile("potwatt")
_PLAIN = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


@pytest.fixture(autouse=True)
def _logs_of_this_test_alone() -> Iterator[None]:
    """What a test sets up of the logs ends with it; a trace is a few lines, without the values of every variable."""
    structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.StackInfoRenderer(), _PLAIN])
    yield
    structlog.reset_defaults()


@dataclass(frozen=True, slots=True)
class SecureServer:
    """An InfluxDB with TLS by a certificate of its own and with passwords."""

    url: str
    username: str
    password: str
    ca_file: str


@contextmanager
def influxd(folder: Path, http: str = "", port: int = 0) -> Iterator[int]:
    """A running influxd in ``folder`` on ``port`` or a free one; ``http`` adds lines to the section [http]."""
    command, port, backup_port = program("influxd"), port or free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{backup_port}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        '[monitor]\nstore-enabled = false\n[logging]\nlevel = "error"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\nflux-enabled = false\n{http}\n'
    )
    with running([command, "-config", str(config)], lambda: listens(port), folder / "influxd.log"):
        yield port


@pytest.fixture(scope="session")
def influxdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an InfluxDB 1.x without passwords; tests take database names of their own."""
    with influxd(tmp_path_factory.mktemp("influxdb")) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def influxdb_secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    """The same behind TLS and a password."""
    folder = tmp_path_factory.mktemp("influxdb-secure")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    openssl = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    openssl += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(openssl, check=True, capture_output=True)
    plain = influxd(folder)
    with plain as port:
        statement = urllib.parse.urlencode({"q": "CREATE USER admin WITH PASSWORD 'right' WITH ALL PRIVILEGES"})
        urllib.request.urlopen(f"http://127.0.0.1:{port}/query", statement.encode()).close()
    secured = f'auth-enabled = true\nhttps-enabled = true\nhttps-certificate = "{certificate}"\nhttps-private-key = "{key}"'
    with influxd(folder, secured) as port:
        yield SecureServer(f"https://127.0.0.1:{port}", "admin", "right", str(certificate))


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a PostgreSQL server without a database name."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))[-1:]
    postgres, initdb = (program(name, *map(str, newest)) for name in ("postgres", "initdb"))
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    owner = user or pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="potwatt-postgresql-"))
    try:
        if user:
            shutil.chown(folder, user)
        settings = ["-D", str(folder / "data"), "-A", "trust", "-U", "potwatt", "-E", "UTF8", "--no-sync"]
        subprocess.run([initdb, *settings], check=True, capture_output=True, user=user, cwd=folder)
        port = free_port()
        command = [postgres, "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
        with running(command, lambda: (folder / f".s.PGSQL.{port}").exists() and listens(port), folder / "log", user):
            assert folder.owner() == owner
            yield f"postgresql://potwatt@127.0.0.1:{port}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql(postgresql_server: str) -> str:
    """URL of a new, empty PostgreSQL database."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgresql_server}/{name}"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A broker without passwords."""
    server = MosquittoServer(tmp_path / "mosquitto")
    server.start()
    yield server
    server.stop()
