"""What content costs to encode, cache and add: `python -m benchmarks.content.speed`.

Everything is made up here, so that anybody can measure: sentences of English words, JPEGs, WAVs,
and a catalogue of 100,000 items with a short text each. Its closed forms are fitted on drawn likes
(at least three an item); the weights of its set encoder are drawn, which cost the same as trained
ones. A new item is encoded, placed and servable when `add_items` returns.

Times are medians of repeated runs on the machine that the result names; compare them within a run.
Of new items the seconds of the processor stand beside those of the clock, which others may hold up.
A result is added, never edited.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks import records
from benchmarks.speed import models
from benchmarks.speed.__main__ import blas_threads
from benchmarks.speed.measure import median
from warmstart.core.config import Config
from warmstart.data import Dataset
from warmstart.encoders import Encoder, VectorCache, encode
from warmstart.encoders.audio import AudioEncoder
from warmstart.encoders.image import ImageEncoder
from warmstart.encoders.text import SentenceEncoder
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.encoding import encode_items
from warmstart.recommenders.fitted import Fitted
from warmstart.recommenders.recommender import Recommender

RESULTS = Path(__file__).parent / "results"
SUBJECTS = ("space", "love", "war", "crime", "music", "horses", "ghosts", "cooking", "football",
            "robots", "pirates", "school")  # fmt: skip
WORDS = ("an old captain", "two sisters", "the last train", "a quiet village", "somebody's secret",
         "a long winter", "three friends", "an empty house", "the river", "a letter from home",
         "a lost map", "the mayor", "an honest thief", "a summer night", "the harbour",
         "a stubborn teacher", "one promise", "the night shift", "a borrowed car", "the other side",
         "a broken clock", "the first snow", "a travelling circus", "an unpaid debt")  # fmt: skip


class SpeedConfig(Config):
    """Sizes of the measurement.

    Attributes:
        short_texts, long_texts, images, sounds: contents of one run.
        seconds: length of a sound.
        repeats: runs of each kind, each with other contents.
        items: the catalogue.
        users: who liked them.
        more_likes: mean likes an item beyond three.
        adds: how often one item is added.
        batch: items added at once.
        batches: how often.
        seed: of everything drawn.
    """

    short_texts: int = Field(512, ge=1)
    long_texts: int = Field(64, ge=1)
    images: int = Field(32, ge=1)
    sounds: int = Field(4, ge=1)
    seconds: float = Field(10.0, gt=0)
    repeats: int = Field(7, ge=1)
    items: int = Field(100_000, ge=100)
    users: int = Field(20_000, ge=50)
    more_likes: float = Field(4.0, gt=0)
    adds: int = Field(15, ge=1)
    batch: int = Field(100, ge=1)
    batches: int = Field(5, ge=1)
    seed: int = Field(0, ge=0)


def sentences(n: int, rng: np.random.Generator, *, parts: int = 3, each: int = 1) -> list[str]:
    """Return made-up texts.

    Args:
        n: how many.
        rng: draws them.
        parts: of a sentence.
        each: sentences a text.
    """
    drawn = rng.integers(len(WORDS), size=(n, each, parts))
    subject = rng.integers(len(SUBJECTS), size=(n, each))
    number = rng.integers(10_000, size=n)
    return [
        " ".join(
            f"A story of {SUBJECTS[s]}: {', '.join(WORDS[w] for w in row)}, part {no}."
            for s, row in zip(subject[i], drawn[i], strict=True)
        )
        for i, no in enumerate(number)
    ]


def pictures(n: int, rng: np.random.Generator) -> list[bytes]:
    """Return JPEGs of 400 × 600 pixels."""
    from PIL import Image

    found = []
    for _ in range(n):
        small = Image.fromarray(rng.integers(0, 256, (30, 20, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        small.resize((400, 600), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        found.append(buffer.getvalue())
    return found


def noises(n: int, rng: np.random.Generator, seconds: float) -> list[bytes]:
    """Return WAVs of 44,100 Hz, mono: a tone in noise."""
    import soundfile

    found = []
    for _ in range(n):
        at = np.arange(int(44_100 * seconds)) / 44_100
        wave = 0.5 * np.sin(2 * np.pi * rng.uniform(100, 2_000) * at)
        buffer = io.BytesIO()
        soundfile.write(buffer, wave + 0.05 * rng.standard_normal(len(at)), 44_100, format="WAV")
        found.append(buffer.getvalue())
    return found


def encoding(config: SpeedConfig, folder: Path) -> list[dict[str, Any]]:
    """Measure each kind of content: encoding it, and finding it in a cache.

    Args:
        config: sizes.
        folder: for the caches.
    """
    rng = np.random.default_rng(config.seed)
    text = SentenceEncoder()
    kinds: tuple[tuple[str, Encoder, Callable[[], list[Any]], str, float], ...] = (
        ("short text", text, lambda: sentences(config.short_texts, rng), "texts", 1),
        ("long text", text, lambda: sentences(config.long_texts, rng, parts=4, each=12),
         "texts", 1),
        ("picture", ImageEncoder(), lambda: pictures(config.images, rng), "pictures", 1),
        ("sound", AudioEncoder(), lambda: noises(config.sounds, rng, config.seconds),
         "seconds of sound", config.seconds),
    )  # fmt: skip
    rows = []
    for name, encoder, make, unit, each in kinds:
        encode(encoder, make()[:2])  # loads the model
        cache = VectorCache(folder / f"{name}.sqlite")
        took, hit = [], []
        for _ in range(config.repeats):
            contents = make()
            begun = perf_counter()
            first = encode(encoder, contents, cache=cache)
            middle = perf_counter()
            second = encode(encoder, contents, cache=cache)
            hit.append((perf_counter() - middle) / len(contents))
            took.append((middle - begun) / len(contents))
            assert first.known.all()
            assert second.cached == len(contents)
        size = [len(c) if isinstance(c, bytes) else len(c.encode()) for c in contents]
        rows.append(
            {
                "kind": name,
                "encoder": encoder.name,
                "unit": unit,
                "units_per_second": each / median(np.array(took)),
                "ms_per_content": 1e3 * median(np.array(took)),
                "us_per_cache_hit": 1e6 * median(np.array(hit)),
                "times_faster": median(np.array(took) / np.array(hit)),
                "mean_bytes": float(np.mean(size)),
                "contents": len(contents),
                "repeats": config.repeats,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def catalogue(config: SpeedConfig) -> Recommender:
    """Return a model of many items with texts; no encoder is meta-trained."""
    rng = np.random.default_rng(config.seed)
    n = config.items
    texts = sentences(n, rng)
    subject = np.array([SUBJECTS.index(t.split(":")[0].rsplit(" ", 1)[1]) for t in texts])
    counts = 3 + rng.geometric(1 / (1 + config.more_likes), n) - 1
    item = np.repeat(np.arange(n), counts)
    # half of the likes come from those who like the subject, the others from anybody
    wants = rng.integers(config.users // len(SUBJECTS), size=len(item)) * len(SUBJECTS)
    anybody = rng.integers(config.users, size=len(item))
    user = np.where(rng.random(len(item)) < 0.5, wants + subject[item], anybody)
    data = Dataset.from_tables(
        {"user": user, "item": item},
        {"item": np.arange(n), "text": texts, "year": rng.integers(1950, 2027, n)},
        schema={"items": {"text": "text", "year": "number"}},
    )
    data, _ = encode_items(data, ["text"])
    likes = data.positives()
    method = models.fitted(likes, DefaultConfig(), rng)
    method.content = ContentMap.learn(data.content, likes, seed=config.seed)
    origin = {"dataset": "drawn", "n_items": data.n_items}
    return Recommender._restored("default", 0, method, Fitted(method, Catalogue.of(data), origin))


def adding(model: Recommender, config: SpeedConfig) -> dict[str, Any]:
    """Measure adding items, encoding included; the catalogue grows by what was added."""
    rng = np.random.default_rng(config.seed + 1)
    names = iter(range(10**9, 2 * 10**9))

    def seconds(n: int) -> tuple[float, float]:
        new = {"item": [next(names) for _ in range(n)], "text": sentences(n, rng, parts=4),
               "year": rng.integers(1950, 2027, n)}  # fmt: skip
        begun, spent = perf_counter(), process_time()
        model.add_items(new)
        return perf_counter() - begun, process_time() - spent

    before = len(model.catalogue)
    first = seconds(1)
    ones = np.array([seconds(1) for _ in range(config.adds)])
    many = np.array([seconds(config.batch) for _ in range(config.batches)])
    assert len(model.catalogue) == before + 1 + config.adds + config.batches * config.batch
    return {
        "items": before,
        "likes": int(model.catalogue.likes.sum()),
        "first_seconds": first[0],
        "first_cpu_seconds": first[1],
        "one_seconds": median(ones[:, 0]),
        "one_cpu_seconds": median(ones[:, 1]),
        "one_worst_seconds": float(ones[:, 0].max()),
        "one_worst_cpu_seconds": float(ones[:, 1].max()),
        "batch": config.batch,
        "batch_seconds": median(many[:, 0]),
        "batch_cpu_seconds": median(many[:, 1]),
        "adds": config.adds,
        "batches": config.batches,
    }


@contextmanager
def own_cache() -> Iterator[Path]:
    """Keep the cache of vectors in a folder that goes away."""
    before = os.environ.get("WARMSTART_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WARMSTART_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["WARMSTART_CACHE"]
            else:
                os.environ["WARMSTART_CACHE"] = before


def run(config: SpeedConfig, now: datetime) -> dict[str, Any]:
    """Measure everything on one thread of BLAS and return the record."""
    begun, code = perf_counter(), records.commit()
    with own_cache() as folder, blas_threads(1) as threads:
        encoded = encoding(config, folder)
        added = adding(catalogue(config), config)
        print(json.dumps(added), flush=True)
    return {
        "experiment": "content-speed",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "threads": threads,
        "encoding": encoded,
        "adding": added,
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(perf_counter() - begun, 1),
    }


def main() -> int:
    """Measure, and add the result."""
    parser = argparse.ArgumentParser(description="What content costs.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    chosen = parser.parse_args()

    def work() -> None:
        record = run(SpeedConfig.parse(json.loads(chosen.settings)), datetime.now(UTC))
        print(records.add(records.spelled(record), "content-speed", record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
