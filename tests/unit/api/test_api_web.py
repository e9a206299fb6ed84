import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

import api.web
from plant.errors import DeviceNonsense, DeviceSilent

WEB = Path(api.web.__file__).parent
OWN = sorted(p.name for p in WEB.iterdir() if p.suffix in {".js", ".html", ".css"})


def own(name: str) -> str:
    return (WEB / name).read_text("utf-8")


def texts(language: str) -> dict[str, str]:
    block = re.search(rf"\n  {language}: {{\n(.*?)\n  }},", own("i18n.js"), re.DOTALL)
    assert block
    return {key.strip('"'): value for key, value in re.findall(r'("[^"]+"|\b\w+): "([^"]*)"', block[1])}


def test_both_languages_say_the_same_things_with_the_same_blanks() -> None:
    en, zh = texts("en"), texts("zh")
    assert len(en) > 60
    assert en.keys() == zh.keys()
    for key, text in en.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", zh[key])), key


def test_the_chinese_texts_use_the_terms_of_the_trade() -> None:
    everything = " ".join(texts("zh").values())
    for term in ("绿电占比", "铝液交流电耗", "标杆", "基准", "自备电厂", "储能", "数据完整率", "阶梯电价"):
        assert term in everything


def test_every_text_asked_for_exists() -> None:
    known = texts("en").keys()
    asked = set(re.findall(r'data-i18n="(\w+)"', own("index.html")))
    for name in OWN:
        asked |= set(re.findall(r'\bt\("([^"]+)"', own(name)))
    assert len(asked) > 40
    assert asked <= known, asked - known


def test_every_element_asked_for_is_on_the_page() -> None:
    ids = set(re.findall(r'id="([\w-]+)"', own("index.html")))
    asked = set(re.findall(r'\$\("([\w-]+)"\)', own("app.js")))
    assert len(asked) > 15
    assert asked <= ids, asked - ids


@pytest.mark.parametrize("name", OWN)
def test_no_file_of_the_page_names_an_outside_address(name: str) -> None:
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", re.sub(r"//[^\n\"']*$", "", own(name), flags=re.MULTILINE))


async def test_the_page_and_its_library_are_served_zipped_and_kept_by_tag(client: httpx.AsyncClient) -> None:
    for path in ("/", "/web/app.js", "/web/style.css", "/web/d3.js"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
        again = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    plain = await client.get("/web/d3.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text.startswith("!function()")


DETAILS = [
    (str(DeviceSilent("m1", "10.0.0.1:502 unit 3", expected="2 words", got="no answer within 1 s", next_step="check")), "无应答"),
    (str(DeviceNonsense("m1", "gw unit 3", expected="2 words", got="3 bytes", next_step="check")), "应答不符：应为 2 words"),
    ("no connection to 10.0.0.1:502 within 2 s; check address, network and firewall", "2 秒内未能连接 10.0.0.1:502"),
    ("no connection to 10.0.0.1:502: connection refused; check that the device is on", "无法连接 10.0.0.1:502"),
    ("its endpoint gw-1 does not answer", "所在端口 gw-1 无应答"),
    ("refuses holding 4-7, so frequency is missing; check that the profile fits the firmware", "缺少 frequency"),
    ("polling waits: the spool is full", "采集等待中"),
    ("held by process 17: many gateways serve one connection alone; it is tried again every 5 s", "进程 17 占用"),
    ("what nobody has translated", "英文详情：what nobody has translated"),
]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the page's own code")
def test_details_are_chinese_on_the_chinese_page(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "details.js").write_text(own("details.js"))
    (tmp_path / "i18n.js").write_text("export const currentLanguage = () => process.argv[2];")
    (tmp_path / "main.js").write_text(
        'import { detail } from "./details.js";\nconsole.log(JSON.stringify(JSON.parse(process.argv[3]).map(detail)));'
    )
    given = [text for text, _ in DETAILS]
    said = {}
    for language in ("zh", "en"):
        command = ["node", "main.js", language, json.dumps(given)]
        said[language] = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    assert said["en"] == given
    for (text, words), found in zip(DETAILS, said["zh"], strict=True):
        assert words in found, text
