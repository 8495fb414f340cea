"""Mult-VAE: a variational autoencoder over likes with a multinomial likelihood.

Reference: Liang et al. 2018, arXiv:1802.05814. One hidden layer on either side; the likes of a
user are L2-normalised; the KL term is annealed from 0 up to `kl_cap`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class MultVAE(nn.Module):
    """Encoder and decoder, `n_items → hidden → latent → hidden → n_items`.

    Args:
        n_items: size of the catalogue.
        hidden: width of the hidden layers.
        latent: dimension of the latent vector.
        generator: draws the initial weights.
    """

    def __init__(
        self, n_items: int, hidden: int, latent: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        # The first layer sums the rows of the few liked items instead of a product with zeros.
        self.encoder_in = nn.Parameter(torch.empty(n_items, hidden))
        self.encoder_bias = nn.Parameter(torch.zeros(hidden))
        self.encoder_out = nn.Linear(hidden, 2 * latent)
        self.decoder_in = nn.Linear(latent, hidden)
        self.decoder_out = nn.Linear(hidden, n_items)
        for weight in (p for p in self.parameters() if p.ndim == 2):
            nn.init.xavier_normal_(weight, generator=generator)
        for layer in (self.encoder_out, self.decoder_in, self.decoder_out):
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        items: Int[Tensor, " events"],
        weights: Float[Tensor, " events"],
        offsets: Int[Tensor, " users"],
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "users items"], Float[Tensor, " users"]]:
        """Return the logits over the catalogue and each user's KL term.

        Args:
            items: the liked items of all users, one user after another.
            weights: what each of them counts.
            offsets: where each user's items begin.
            generator: draws the latent noise.
        """
        bag = F.embedding_bag(
            items, self.encoder_in, offsets, mode="sum", per_sample_weights=weights
        )
        mean, log_var = self.encoder_out(torch.tanh(bag + self.encoder_bias)).chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator)
        z = mean + noise * torch.exp(0.5 * log_var)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1)
        return self.decoder_out(torch.tanh(self.decoder_in(z))), kl


def train_multvae(
    model: MultVAE,
    likes: sp.csr_array,
    *,
    epochs: int,
    batch_users: int,
    learning_rate: float,
    dropout: float,
    kl_cap: float,
    few_shot: bool,
    rng: np.random.Generator,
    generator: torch.Generator,
    after_epoch: Callable[[int], bool],
) -> None:
    """Train `model` in place on the rows of `likes` until `after_epoch` says stop.

    Args:
        model: what to train.
        likes: (users, items) float32 binary, no row empty.
        epochs: passes over the users at most; the KL weight reaches `kl_cap` half-way.
        batch_users: users in one step.
        learning_rate: of Adam.
        dropout: share of a user's likes that the encoder does not see.
        kl_cap: final weight of the KL term.
        few_shot: instead of dropout, show the encoder a random few of the likes (half of the
            time 0 to 20 of them, else any number) and ask for all.
        rng: draws the order of the users and what the encoder sees.
        generator: draws the latent noise.
        after_epoch: called with the number of finished epochs; True stops.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    n_users = likes.shape[0]
    steps, done = max(1, epochs * -(-n_users // batch_users) // 2), 0
    for epoch in range(epochs):
        model.train()
        order = rng.permutation(n_users)
        for start in range(0, n_users, batch_users):
            batch = likes[order[start : start + batch_users]]
            shown = _some_shots(batch, rng) if few_shot else rng.random(batch.nnz) >= dropout
            lengths = np.diff(batch.indptr)
            rows = np.repeat(np.arange(len(lengths)), lengths)
            counts = np.bincount(rows[shown], minlength=len(lengths))
            if few_shot:  # what is shown is the whole history: normalise that
                weights = np.maximum(counts, 1)[rows] ** -0.5
            else:  # inverted dropout on the normalised row
                weights = lengths[rows] ** -0.5 / (1 - dropout)
            logits, kl = model(
                torch.from_numpy(batch.indices[shown].astype(np.int64)),
                torch.from_numpy(weights[shown].astype(np.float32)),
                torch.from_numpy(np.cumsum(counts) - counts),
                generator,
            )
            target = torch.from_numpy(batch.toarray())
            likelihood = (F.log_softmax(logits, dim=1) * target).sum(dim=1)
            loss = (kl_cap * min(1.0, done / steps) * kl - likelihood).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
        if after_epoch(epoch + 1):
            return


def _some_shots(batch: sp.csr_array, rng: np.random.Generator) -> np.ndarray:
    """Return which likes of `batch` the encoder sees: a random few of each row."""
    lengths = np.diff(batch.indptr)
    shots = np.where(
        rng.random(len(lengths)) < 0.5,
        rng.integers(0, 21, len(lengths)),
        rng.integers(0, lengths + 1),
    )
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((rng.random(batch.nnz), rows))
    rank = np.empty(batch.nnz, np.int64)
    rank[order] = np.arange(batch.nnz) - np.repeat(batch.indptr[:-1], lengths)
    return rank < shots[rows]
