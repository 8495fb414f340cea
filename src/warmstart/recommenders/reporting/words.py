"""What a report says, in English and Chinese; the texts themselves are in `words.json`."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["en", "zh"]

PAPERS = (
    "nDCG: Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418",
    "ARP, APLT: Yin et al. 2012, arXiv:1205.6700; Abdollahpouri et al. 2019, arXiv:1901.07555",
    "Popularity lift: Abdollahpouri et al. 2020, arXiv:2008.09273",
    "PRU, PRI: Zhu et al. 2021, doi:10.1145/3437963.3441820",
    "Categories: Steck 2018, doi:10.1145/3240323.3240372",
    "Reliability: Guo et al. 2017, arXiv:1706.04599",
    "Groups by taste: Abdollahpouri et al. 2019, arXiv:1907.13286",
    "Intervals and tests: Efron & Tibshirani 1993; Holm 1979",
)


def say(language: Language, key: str, **values: object) -> str:
    """Return a text in a language, its values filled in.

    Example:
        >>> say("en", "likes", n=3), say("zh", "likes", n=3)
        ('3 likes', '3 项喜好')
    """
    return _words()[key][language].format(**values)


@cache
def _words() -> dict[str, dict[Language, str]]:
    found: dict[str, dict[Language, str]] = json.loads(
        files(__package__).joinpath("words.json").read_text("utf8")
    )
    return found
