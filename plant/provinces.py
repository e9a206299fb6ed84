"""Names of the provinces that a plant may stand in and that a rule may be in force for; "" for a plant that names none."""

from __future__ import annotations

from typing import Literal, get_args

Province = Literal[
    "",
    "anhui",
    "beijing",
    "chongqing",
    "fujian",
    "gansu",
    "guangdong",
    "guangxi",
    "guizhou",
    "hainan",
    "hebei",
    "heilongjiang",
    "henan",
    "hong_kong",
    "hubei",
    "hunan",
    "inner_mongolia",
    "jiangsu",
    "jiangxi",
    "jilin",
    "liaoning",
    "macau",
    "ningxia",
    "qinghai",
    "shaanxi",
    "shandong",
    "shanghai",
    "shanxi",
    "sichuan",
    "taiwan",
    "tianjin",
    "tibet",
    "xinjiang",
    "yunnan",
    "zhejiang",
]
PROVINCES: tuple[str, ...] = tuple(name for name in get_args(Province) if name)
