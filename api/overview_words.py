"""What studies say in sentences, in both languages: what must happen to keep a limit, which PV unit is accused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.render.table import Lang, limit_word, node_title, word
from plant import nodes
from plant.indicators import INDICATORS
from plant.site import Site

Body = Mapping[str, Any]
_CAUSES = {
    "dead": "无输出",
    "clipped": "限幅",
    "curtailed": "限发",
    "shaded": "遮挡",
    "soiled": "积灰",
    "low": "偏低",
}
_LANGUAGES: tuple[Lang, ...] = ("en", "zh")
_MOOD = {"kept": "good", "likely": "good"}


def words_of(site: Site, bodies: Mapping[str, Body]) -> dict[str, list[dict[str, Any]]]:
    """Sentences by group: ``en``, ``zh``, ``mood`` (good, bad, plain), ``placeholder`` where the limit is one."""
    return {
        "outlook": list(_outlook(site, bodies.get("outlook", {}))),
        "solar": list(_solar(site, bodies.get("solar", {}))),
        "suspects": list(_suspects(bodies.get("suspects", {}))),
        "green": list(_certificates(bodies.get("certificates", {}))),
        "tariff": list(_tariff(bodies.get("tariff", {}))),
    }


def _outlook(site: Site, body: Body) -> Iterator[dict[str, Any]]:
    for target in body.get("targets", ()):
        if target["node"] != nodes.PLANT and target["verdict"] == "kept":
            continue  # of lines only what may fail is worth a sentence
        said = {lang: _target(site, target, lang) for lang in _LANGUAGES}
        yield said | {"mood": _MOOD.get(target["verdict"], "bad"), "placeholder": target["placeholder"]}


def _target(site: Site, target: Body, lang: Lang) -> str:
    known, titles = INDICATORS[target["indicator"]], _lines(site)
    name = known.zh if lang == "zh" else known.en
    subject = f"{node_title(titles, target['node'], lang)}, {name}, {limit_word(target['limit'], lang)}"
    verdict, text = word(target["verdict"], lang), target["text"][lang]
    return f"{subject}: {text}" if verdict in text else f"{subject}: {verdict}; {text}"


def _solar(site: Site, body: Body) -> Iterator[dict[str, Any]]:
    for field in body.get("fields", ()):
        branch = site.branches[field["branch"]]
        suspects = [unit for group in field["groups"] for unit in group["suspects"]]
        for unit in sorted(suspects, key=lambda u: -u["lost_kwh"])[:3]:
            name = f"{unit['meter']} {unit['quantity']}"
            cause, lost, less = unit["cause"], unit["lost_kwh"], unit["deficit_percent"]
            yield {
                "en": f"{branch.title_en}, {name}: {cause}, {less:.0f} % under its peers, {lost:,.0f} kWh lost",
                "zh": f"{branch.title_zh},{name}:{_CAUSES.get(cause, cause)},低于同类 {less:.0f} %,损失 {lost:,.0f} kWh",
                "mood": "bad",
                "placeholder": False,
            }


def _suspects(body: Body) -> Iterator[dict[str, Any]]:
    for meter in body.get("suspects", ()):
        title, check = meter["title"], meter["check"]
        yield _plain(
            f"{title['en']}, since {meter['since']}: {check['en']}", f"{title['zh']},自 {meter['since']}:{check['zh']}", "bad"
        )


def _certificates(body: Body) -> Iterator[dict[str, Any]]:
    ending = body.get("expiring", ())
    if ending:
        yield _plain(f"{len(ending)} lots of certificates end within their notice", f"{len(ending)} 批绿证即将到期", "bad")
    target = body.get("target")
    if target is not None:
        yield _plain(
            f"target of the year {target['percent']} %", f"本年目标 {target['percent']} %", placeholder=target["placeholder"]
        )


def _tariff(body: Body) -> Iterator[dict[str, Any]]:
    if "threshold_kwh_per_t" in body:
        year, least, step = body["year"], body["threshold_kwh_per_t"], body["step_kwh_per_t"]
        yield _plain(
            f"threshold of {year}: {least} kWh/t, a step every {step} kWh/t, {body['adder_yuan_per_kwh']} yuan/kWh each",
            f"{year} 年门槛 {least} kWh/t,每超 {step} kWh/t 加价 {body['adder_yuan_per_kwh']} 元/kWh",
        )


def _plain(en: str, zh: str, mood: str = "plain", *, placeholder: bool = False) -> dict[str, Any]:
    return {"en": en, "zh": zh, "mood": mood, "placeholder": placeholder}


def _lines(site: Site) -> dict[str, dict[str, str]]:
    return {nodes.line(p.id): {"en": p.title_en, "zh": p.title_zh} for p in site.potlines.values()}
