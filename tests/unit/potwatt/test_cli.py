"""The command line as a user meets it, good and bad input, in processes of its own kind: no trace, a sentence, status 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def potwatt(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "from potwatt.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    assert potwatt("init", "site.toml", cwd=tmp_path).returncode == 0
    return tmp_path / "site.toml"


def test_init_writes_a_site_that_check_finds_right_and_never_overwrites(site: Path) -> None:
    checked = potwatt("check", "site.toml", cwd=site.parent)
    assert checked.returncode == 0, checked.stderr
    assert "is right" in checked.stdout
    before = site.read_bytes()
    again = potwatt("init", "site.toml", cwd=site.parent)
    assert again.returncode == 2
    assert "exists; it was left as it is" in again.stderr
    assert site.read_bytes() == before


def test_check_lists_all_faults_at_once(site: Path) -> None:
    text = site.read_text("utf-8")
    text = text.replace("port = 1502", "port = 150200").replace('profile = "sim_ac_meter"', 'profile = "sim_ac_metre"', 1)
    text = text.replace("closing_day = 1 ", "closing_dya = 1 ").replace('branch = "tie-1"', 'branch = "tie-9"')
    site.write_text(text, "utf-8")
    found = potwatt("check", "site.toml", cwd=site.parent)
    assert found.returncode == 2
    for word in ("endpoint[gateway-1].port", "150200", "'sim_ac_metre'", "closing_dya", "'tie-9'", "4 faults found"):
        assert word in found.stderr, found.stderr
    assert "Traceback" not in found.stderr


def test_a_missing_site_file_is_a_sentence(tmp_path: Path) -> None:
    found = potwatt("run", "nowhere.toml", cwd=tmp_path)
    assert found.returncode == 2
    assert "nowhere.toml" in found.stderr
    assert "potwatt init" in found.stderr
    assert "Traceback" not in found.stderr


def test_roles_apart_and_open_addresses_are_refused(site: Path) -> None:
    apart = potwatt("collect", "site.toml", cwd=site.parent)
    assert apart.returncode == 2
    assert "store.kind" in apart.stderr
    site.write_text(site.read_text("utf-8").replace('host = "127.0.0.1"                  # beyond', 'host = "0.0.0.0" # beyond'))
    opened = potwatt("check", "site.toml", cwd=site.parent)
    assert opened.returncode == 2
    assert "0.0.0.0" in opened.stderr
    assert "tls" in opened.stderr.lower()


def test_a_secret_that_is_not_set_is_named(site: Path) -> None:
    site.write_text(site.read_text("utf-8").replace("# urls_env", "urls_env"), "utf-8")
    found = potwatt("check", "site.toml", cwd=site.parent)
    assert found.returncode == 2
    assert "POTWATT_ALERT_URLS not set" in found.stderr


def test_a_ledger_file_counts_once(site: Path) -> None:
    taps = site.parent / "taps.csv"
    taps.write_text(
        "kind,subject,time,amount,unit,who,document\nmetal_tapped,line-1,2026-11-01T08:00,2.5,t,Li,W-1\n"
        "metal_tapped,line-1,2026-11-01T09:00,2.4,t,Li,W-2\n"
    )
    first = potwatt("ledger", "import", "taps.csv", "--site", "site.toml", cwd=site.parent)
    assert "2 entries read, 2 new, 0 already recorded" in first.stdout, first.stderr
    second = potwatt("ledger", "import", "taps.csv", "--site", "site.toml", cwd=site.parent)
    assert "2 entries read, 0 new, 2 already recorded" in second.stdout, second.stderr
    taps.write_text(taps.read_text().replace("2.5,t", "2.6,t"))
    third = potwatt("ledger", "import", "taps.csv", "--site", "site.toml", cwd=site.parent)
    assert third.returncode == 2
    assert "1 entries stand in the ledger with another subject, time or amount: metal_tapped" in " ".join(third.stderr.split())


def test_a_verdict_is_recorded_or_refused_in_a_sentence(site: Path) -> None:
    meter = next(
        line.split('"')[1] for line in site.read_text("utf-8").split("[[meter]]")[1].splitlines() if line.startswith("id")
    )
    more = ("--site", "site.toml", "--who", "Li", "--cause", "blown fuse")
    done = potwatt("annotate", meter, "bad", "2026-11-01T08:00", "2026-11-01T09:00", *more, cwd=site.parent)
    assert f"verdict 1: {meter} all quantities bad, 2026-11-01T08:00:00+08:00" in " ".join(done.stdout.split()), done.stderr
    odd = potwatt("annotate", meter, "odd", "2026-11-01T08:00", "2026-11-01T09:00", *more, cwd=site.parent)
    assert odd.returncode == 2
    assert "expected one of stuck" in " ".join(odd.stderr.split())


def test_devices_and_dashboards(site: Path) -> None:
    listed = potwatt("devices", cwd=site.parent)
    assert "sunspec_inverter_103" in listed.stdout
    assert "proven" in listed.stdout
    written = potwatt("dashboards", "write", "site.toml", "--folder", "boards", cwd=site.parent)
    assert written.returncode == 0, written.stderr
    assert list((site.parent / "boards").glob("*.json"))


def test_a_key_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    made = potwatt("keys", "add", "keys.toml", "li", "--role", "editor", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    key = made.stdout.splitlines()[-1].strip()
    assert len(key) > 20
    assert key not in (tmp_path / "keys.toml").read_text("utf-8")
    assert (tmp_path / "keys.toml").stat().st_mode & 0o077 == 0
