import stat
from pathlib import Path

import httpx
import pytest
from api_sample import make_sample

from api import auth
from api.auth import Caller, Role, add_key, is_loopback, new_key, parse_keys, refuse_unsafe_binding
from plant.errors import ConfigError, InputError
from plant.site import ApiSettings


async def test_a_key_that_was_added_identifies_its_holder_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    scada, boss = add_key(file, "scada", "viewer"), add_key(file, "boss", "editor")
    keys = parse_keys(file.read_text(), str(file))
    assert await keys.identify(scada) == Caller("scada", Role.VIEWER)
    assert await keys.identify(boss) == Caller("boss", Role.EDITOR)
    assert await keys.identify(boss) == Caller("boss", Role.EDITOR)  # the second time from memory
    for wrong in (f"scada.{boss.partition('.')[2]}", "scada.", "scada", f"{scada}x", "", "nobody.secret"):
        assert await keys.identify(wrong) is None, wrong


def test_the_file_holds_no_secret_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    secret = add_key(file, "scada", "viewer").partition(".")[2]
    assert secret not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_keys_file_that_everybody_could_read_is_made_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.touch(mode=0o644)
    add_key(file, "scada", "viewer")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_an_unknown_name_costs_as_much_as_a_wrong_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def counted(secret: str, salt: bytes) -> bytes:
        hashed.append(secret)
        return bytes(32)

    file = tmp_path / "keys.toml"
    add_key(file, "scada", "viewer")
    keys = parse_keys(file.read_text(), str(file))
    monkeypatch.setattr(auth, "_hash", counted)
    assert await keys.identify("scada.wrong") is None
    assert await keys.identify("nobody.wrong") is None
    assert hashed == ["wrong", "wrong"]


def test_adding_refuses_a_wrong_role_a_wrong_name_and_a_second_of_the_name(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    add_key(file, "scada", "viewer")
    before = file.read_text()
    for name, role, found in (("x", "root", "root"), ("Ä b", "viewer", "Ä b"), ("scada", "viewer", "scada")):
        with pytest.raises(InputError, match=found):
            add_key(file, name, role)
    assert file.read_text() == before


@pytest.mark.parametrize("text", ['[plant]\nid = "p"\n', "key = 1\n", '[key]\nname = "one"\n'])
def test_a_file_of_another_kind_takes_no_key(tmp_path: Path, text: str) -> None:
    file = tmp_path / "site.toml"
    file.write_text(text)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=r"\[\[key\]\]"):
        add_key(file, "wang", "viewer")
    assert file.read_text() == text
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_every_fault_of_a_keys_file_is_listed_without_its_hashes() -> None:
    _, good = new_key("one", Role.VIEWER)
    hashed = good.rpartition('hash = "')[2].strip().strip('"')
    text = good + good + good.replace('"one"', '"two"').replace("viewer", "god") + '[[key]]\nname = "three"\n'
    with pytest.raises(ConfigError) as caught:
        parse_keys(text, "keys.toml")
    assert [f.key for f in caught.value.faults] == ["key[2].name", "key[3].role", "key[4]"]
    assert hashed not in str(caught.value)


def test_a_faulty_hash_is_a_fault() -> None:
    _, row = new_key("one", Role.VIEWER)
    with pytest.raises(ConfigError, match="base64"):
        parse_keys(row.replace('hash = "', 'hash = "!'), "keys.toml")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "plant.example", "127.0.0.1.evil.example", ""])
def test_beyond_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("settings", "have_keys", "faults"),
    [
        (ApiSettings(), False, 0),
        (ApiSettings(host="0.0.0.0"), False, 2),
        (ApiSettings(host="0.0.0.0"), True, 1),
        (ApiSettings(host="10.0.0.5", tls_cert="c", tls_key="k"), False, 1),
        (ApiSettings(host="10.0.0.5", tls_cert="c"), True, 1),
        (ApiSettings(host="10.0.0.5", tls_cert="c", tls_key="k"), True, 0),
    ],
)
def test_listening_beyond_loopback_wants_tls_and_a_key(settings: ApiSettings, have_keys: bool, faults: int) -> None:
    if not faults:
        refuse_unsafe_binding(settings, have_keys)
        return
    with pytest.raises(ConfigError) as caught:
        refuse_unsafe_binding(settings, have_keys)
    assert len(caught.value.faults) == faults


async def test_with_keys_reading_wants_a_key_and_writing_an_editors(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    viewer, editor = add_key(file, "scada", "viewer"), add_key(file, "boss", "editor")
    sample = await make_sample(tmp_path, auth=parse_keys(file.read_text(), str(file)))
    tap = {
        "key": "t1", "source": "scale-1", "subject": "line-1", "start": "2026-05-28T08:00:00+08:00", "amount": 3210,
        "who": "Wang", "document": "sheet 3", "reason": "tap",
    }  # fmt: skip
    transport = httpx.ASGITransport(sample.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://plant.example") as http:
        refused = await http.get("/api/v1/plants")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert (await http.get("/api/v1/plants", headers={"X-API-Key": "scada.wrong"})).status_code == 401
        assert (await http.get("/api/v1/plants", headers={"X-API-Key": viewer})).status_code == 200
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/healthz")).status_code == 200
        url = "/api/v1/plants/demo/ledger/metal_tapped"
        assert (await http.post(url, json=tap)).status_code == 401
        assert (await http.post(url, json=tap, headers={"Authorization": f"Bearer {viewer}"})).status_code == 403
        assert (await http.post(url, json=tap, headers={"Authorization": f"Bearer {editor}"})).status_code == 201
    await sample.ledger.close()
