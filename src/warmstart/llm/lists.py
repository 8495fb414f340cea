"""One prompt, many candidates: "who liked these, would they like this one?", asked in one pass.

The tokens of the prompt come first, and those of every candidate after them. A candidate sees the
prompt and itself, never another candidate, and its positions go on from the prompt's end. So the
answer on a candidate is the same as if it stood alone, whatever the order of the list and whoever
else is in it, and the prompt is read once instead of once a candidate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmstart.core.errors import DataError

PAD = -1
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")
_ARTICLE = re.compile(r"^(.*), (The|A|An)\b(.*)$")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question about a list of candidates.

    Attributes:
        before: what they share.
        candidates: what is asked about, each with the sign that ends it.
    """

    before: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """Prompts as tensors, padded to one length.

    Attributes:
        ids: (lists, tokens) token ids.
        segment: (lists, tokens) 0 in the prompt, j in the j-th candidate, -1 in padding.
        position: (lists, tokens) as if each candidate stood alone behind the prompt.
        ends: (lists, candidates) where the last token of each candidate stands.
    """

    ids: Tensor
    segment: Tensor
    position: Tensor
    ends: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, lists: Any) -> Packed:  # noqa: ANN401  (whatever indexes a tensor)
        """Return these lists, in this order."""
        return Packed(self.ids[lists], self.segment[lists], self.position[lists], self.ends[lists])


def question(liked: Sequence[str], candidates: Sequence[str], *, kind: str = "films") -> Prompt:
    """Return the question whether somebody who liked some things would like others.

    Args:
        liked: titles; none are needed.
        candidates: titles.
        kind: what they are, in the plural.

    Example:
        >>> question(["Alien"], ["Heat", "Big"]).candidates
        ('Heat?', 'Big?')
    """
    known = f"A person liked these {kind}: {'; '.join(liked)}.\n" if liked else ""
    asked = f"Would they like these {kind} too? Yes or No.\n"
    return Prompt(known + asked, tuple(f"{title}?" for title in candidates))


def spoken(title: str) -> str:
    """Return a title as people say it: the article in front, and no year.

    Example:
        >>> spoken("Shawshank Redemption, The (1994)"), spoken("Alien (1979)")
        ('The Shawshank Redemption', 'Alien')
    """
    title = _YEAR.sub("", title)
    found = _ARTICLE.match(title)
    return f"{found[2]} {found[1]}{found[3]}" if found else title


def pack(
    tokenizer: Any,  # noqa: ANN401  (transformers has no types)
    prompts: Sequence[Prompt],
    *,
    most_before: int = 96,
    most_candidate: int = 16,
    length: int | None = None,
) -> Packed:
    """Return prompts as tensors.

    Args:
        tokenizer: of the model.
        prompts: with as many candidates each.
        most_before: most tokens of what the candidates share; the first are dropped.
        most_candidate: most tokens of a candidate; the last but the ending sign are dropped.
        length: tokens to pad to; None for those of the longest.

    Raises:
        DataError: there is nothing to ask, or the lists differ in length.
    """
    sizes = {len(p.candidates) for p in prompts}
    if len(sizes) != 1 or sizes == {0}:
        raise DataError(
            f"lists of {sorted(sizes)} candidates; give prompts with equally many, at least one"
        )
    texts = dict.fromkeys(t for p in prompts for t in (p.before, *p.candidates))
    found = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    tokens = dict(zip(texts, found, strict=True))
    rows = []
    for p in prompts:
        before = tokens[p.before][-most_before:]
        parts = [_short(tokens[c], most_candidate) for c in p.candidates]
        rows.append((before, parts))
    longest = max(len(b) + sum(map(len, parts)) for b, parts in rows)
    n, (n_candidates,) = max(longest, length or 0), sizes
    ids = torch.zeros(len(rows), n, dtype=torch.long)
    segment = torch.full((len(rows), n), PAD)
    position = torch.zeros(len(rows), n, dtype=torch.long)
    ends = torch.zeros(len(rows), n_candidates, dtype=torch.long)
    for i, (before, parts) in enumerate(rows):
        start = 0
        for j, part in enumerate([before, *parts]):
            stop, first = start + len(part), len(before) if j else 0
            ids[i, start:stop] = torch.tensor(part)
            segment[i, start:stop] = j
            position[i, start:stop] = torch.arange(first, first + len(part))
            if j:
                ends[i, j - 1] = stop - 1
            start = stop
    return Packed(ids, segment, position, ends)


def attention(segment: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (lists, 1, tokens, tokens) what is added to attention: 0 where a token may look.

    Example:
        >>> seen = attention(torch.tensor([[0, 1, 2, 2]]), torch.float32)[0, 0] == 0
        >>> seen.int().tolist()
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]]
    """
    n = segment.shape[-1]
    one, other = segment.unsqueeze(-1), segment.unsqueeze(-2)
    back = torch.ones(n, n, dtype=torch.bool).tril()
    seen = back & ((other == 0) | (other == one))  # padding sees padding, so no row is empty
    nothing = torch.finfo(dtype).min
    return torch.where(seen, 0.0, nothing).to(dtype).unsqueeze(-3)


def _short(tokens: list[int], most: int) -> list[int]:
    return tokens if len(tokens) <= most else [*tokens[: most - 1], tokens[-1]]
