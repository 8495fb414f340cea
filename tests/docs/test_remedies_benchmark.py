"""The comparison of remedies: what is chosen, and what the table says."""

import json

import numpy as np
import pytest
from benchmarks.bias import tables
from benchmarks.bias.fits import Fit, FitsConfig
from benchmarks.bias.remedies import RemediesConfig, chosen_strengths
from benchmarks.tables import _line, short

from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.recommenders.popularity import likes_per_item
from warmstart.recommenders.remedies import fame_of


class Noisy:
    """Scores by a planted taste and by popularity; its folds are itself."""

    def __init__(self, data):
        rng = np.random.default_rng(0)
        counts = likes_per_item(data.positives()) + 1
        self.log_popularity = np.log(counts / counts.sum()).astype(np.float32)
        self.noise = rng.normal(0, 0.3, data.n_items)
        self.parts = self
        self.held = ((self, np.arange(60)),)

    def of_fold(self, parts):
        return parts

    def adjusted(self, **settings):
        return self

    def score(self, histories):
        row = (self.log_popularity + self.noise).astype(np.float32)
        return np.repeat(row[None], len(histories), axis=0)


def test_strengths_are_the_best_that_are_cheap_enough_and_the_least_that_halves():
    data = load_dataset("synthetic", n_users=200, n_items=60)
    split = make_split(data, SplitConfig(max_shots=5))
    fit = Fit("ml-1m", "as it is", 0, Noisy(split.train), {}, "", None)
    config = RemediesConfig(shots=(0, 5), strengths=(0.0, 0.1, 0.3, 1.0, 30.0))
    likes = split.train.positives()
    cheap, half, base = chosen_strengths(fit, likes, split, config, None)
    assert set(base) == {0, 5}
    assert set(cheap.values()) <= set(config.strengths)
    for k in (0, 5):
        assert base[k][1] > 0  # the lists are more popular than the tastes
        assert 0 < half[k]
        assert cheap[k] < 30  # the least popular items would cost far more than 2 %
    free = RemediesConfig(shots=(0, 5), strengths=config.strengths, most_loss=0.999)
    assert all(v >= cheap[k] for k, v in chosen_strengths(fit, likes, split, free, None)[0].items())
    assert fame_of(fit.method.log_popularity).max() == 1


def test_fits_begin_with_the_model_as_it_is():
    fits = FitsConfig().fits()
    first = {}
    for seed, case, name, _ in fits:
        first.setdefault((seed, case), name)
    assert set(first.values()) == {"as it is"}
    by_name = {name: settings for _, _, name, settings in fits}
    assert by_name["group-aware"]["group_tilt"] > 0
    assert by_name["inverse propensity"]["propensity_power"] > 0


@pytest.mark.parametrize(
    ("percent", "kept", "halves"), [(-1.9, 0.5, True), (-2.1, 0.4, False), (-1.0, 0.51, False)]
)
def test_the_table_says_who_halves_the_lift(tmp_path, monkeypatch, percent, kept, halves):
    gap = {"gap": 0.1, "gap_low": 0, "gap_high": 0.2, "by_chance": 0.05, "p": 0.5, "worst": "F"}
    row = {
        "case": "ml-1m", "shots": 5, "tasks": 1_234, "ndcg@10": 0.4, "percent": 0.0,
        "percent_low": -1.0, "percent_high": 1.0, "lift": 1.0, "lift_low": 0.9, "lift_high": 1.1,
        "lift_kept": 1.0, "kept_low": 1.0, "kept_high": 1.0, "aplt": 0.1, "gini": 0.9,
        "coverage": 0.2, "gaps": {"gender": gap},
    }  # fmt: skip
    rows = [
        row | {"method": "as it is"},
        row | {"method": "popularity penalty", "percent": percent, "lift_kept": kept},
    ]
    record = {
        "date": "2026-01-02T00:00:00Z", "rows": rows, "seeds": {"ml-1m": [0]}, "fits_made": [],
        "config": RemediesConfig().model_dump(mode="json"),
    }  # fmt: skip
    (tmp_path / "remedies-1.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    said = tables.remedies_table(_line, short)
    assert ("at 5 shots popularity penalty" in said) == halves
    assert ("at 5 shots none does" in said) != halves
    assert "1,234" in said
    assert "gap by gender" in said
