"""Mult-VAE as a baseline: trained by torch, served by NumPy.

Reference: Liang et al. 2018, arXiv:1802.05814.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import MissingExtraError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, Progress, State
from warmstart.evaluation.metrics import ndcg
from warmstart.index import top_k
from warmstart.recommenders.popularity import (
    lean_on_popularity,
    liked,
    likes_per_item,
    training_likes,
)

if TYPE_CHECKING:
    from warmstart.models.multvae import MultVAE as Network


class MultVAEConfig(Config):
    """Settings of Mult-VAE.

    Attributes:
        hidden: width of the hidden layers.
        latent: dimension of the latent vector.
        dropout: share of a user's likes hidden from the encoder in training.
        kl_cap: final weight of the KL term.
        epochs: passes over the users at most.
        patience: stop after this many epochs without a better validation nDCG@10.
        validation_fraction: share of the training users that are held out to stop early.
        batch_users: users in one step.
        learning_rate: of Adam.
        few_shot: train on random few-shot histories instead of dropout (not in the paper).
    """

    hidden: int = Field(600, ge=1)
    latent: int = Field(200, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    kl_cap: float = Field(0.2, ge=0)
    epochs: int = Field(80, ge=1)
    patience: int = Field(10, ge=1)
    validation_fraction: float = Field(0.05, gt=0, lt=1)
    batch_users: int = Field(200, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    few_shot: bool = False


class MultVAE:
    """Score the catalogue by decoding the encoded history; stops early on validation users."""

    config_type: ClassVar[type[Config]] = MultVAEConfig
    grid: ClassVar[tuple[dict[str, Any], ...]] = ({"few_shot": False}, {"few_shot": True})
    arrays: dict[str, FloatArray]

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or MultVAEConfig()

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:  # noqa: ANN401
        """Train on the training likes; the weights of the best validation epoch are kept.

        Raises:
            MissingExtraError: torch is not installed.
        """
        try:
            import torch

            from warmstart.models.multvae import MultVAE as Network
            from warmstart.models.multvae import train_multvae
        except ImportError:
            raise MissingExtraError("torch", extra="train") from None
        c, rng = self.config, generator(seed, "multvae")
        likes = training_likes(data)
        counts = likes_per_item(likes)
        train, support, query = _hold_out(likes, c.validation_fraction, rng)
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        network = Network(likes.shape[1], c.hidden, c.latent, generator=noise)
        best, best_epoch = -1.0, 0
        self.arrays = _export(network, counts)

        def after_epoch(epoch: int) -> bool:
            nonlocal best, best_epoch
            candidate = type(self)(c)
            candidate.arrays = _export(network, counts)
            quality = candidate._quality(support, query)
            if quality > best or not len(support):
                best, best_epoch, self.arrays = quality, epoch, candidate.arrays
            if progress is not None:
                progress(epoch, c.epochs, f"Mult-VAE, validation nDCG@10 {max(best, 0):.3f}")
            return bool(epoch - best_epoch >= c.patience)

        train_multvae(
            network,
            train,
            epochs=c.epochs,
            batch_users=c.batch_users,
            learning_rate=c.learning_rate,
            dropout=c.dropout,
            kl_cap=c.kl_cap,
            few_shot=c.few_shot,
            rng=rng,
            generator=noise,
            after_epoch=after_epoch,
        )
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) logits; a user without likes gets popularity."""
        a = self.arrays
        likes = liked(histories, len(a["counts"]))
        norm = np.maximum(np.diff(likes.indptr), 1).astype(np.float32) ** -0.5
        hidden = np.tanh((likes @ a["encoder_in"]) * norm[:, None] + a["encoder_bias"])
        latent = hidden @ a["encoder_mean"] + a["latent_bias"]
        hidden = np.tanh(latent @ a["decoder_in"] + a["decoder_bias"])
        return lean_on_popularity(hidden @ a["decoder_out"] + a["item_bias"], likes, a["counts"])

    def _quality(self, support: Histories, query: sp.csr_array) -> float:
        if not len(support):
            return 0.0
        items, _ = top_k(self.score(support), 10, seen=support)
        return float(ndcg(items, query, 10).mean())

    def state(self) -> State:
        """Return the weights of encoder (its mean) and decoder, and the popularity."""
        return State(dict(self.arrays), {"config": self.config.model_dump()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from the weights."""
        method = cls(MultVAEConfig.parse(state.meta["config"]))
        method.arrays = dict(state.arrays)
        return method


def _hold_out(
    likes: sp.csr_array, fraction: float, rng: np.random.Generator
) -> tuple[sp.csr_array, Histories, sp.csr_array]:
    """Split off users whose random ten likes (at most half of them) must predict the others."""
    lengths = np.diff(likes.indptr)
    able = np.flatnonzero(lengths >= 2)
    held = np.sort(rng.permutation(able)[: min(int(fraction * len(lengths)), 1000)])
    rest = likes[np.setdiff1d(np.arange(len(lengths)), held)]
    part, lengths = likes[held], lengths[held]
    rows = np.repeat(np.arange(len(held)), lengths)
    shuffled = part.indices[np.lexsort((rng.random(part.nnz), rows))]
    rank = np.arange(part.nnz) - np.repeat(part.indptr[:-1], lengths)
    shots = np.minimum(10, lengths // 2)
    shown = rank < shots[rows]
    support = Histories(
        np.concatenate([[0], np.cumsum(shots)]), shuffled[shown], np.ones(shown.sum(), np.float32)
    )
    hidden = (np.ones((~shown).sum(), np.float32), (rows[~shown], shuffled[~shown]))
    return rest, support, sp.csr_array(hidden, shape=part.shape)


def _export(network: Network, counts: FloatArray) -> dict[str, FloatArray]:
    weights = {n: p.detach().numpy().copy() for n, p in network.named_parameters()}
    latent = weights["decoder_in.weight"].shape[1]
    return {
        "encoder_in": weights["encoder_in"],
        "encoder_bias": weights["encoder_bias"],
        "encoder_mean": np.ascontiguousarray(weights["encoder_out.weight"][:latent].T),
        "latent_bias": weights["encoder_out.bias"][:latent].copy(),
        "decoder_in": np.ascontiguousarray(weights["decoder_in.weight"].T),
        "decoder_bias": weights["decoder_in.bias"],
        "decoder_out": np.ascontiguousarray(weights["decoder_out.weight"].T),
        "item_bias": weights["decoder_out.bias"],
        "counts": counts,
    }
