import re
from pathlib import Path

import httpx
import pytest

import api.web

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
