"""How favourable a clause of a review is: a weight for each word, learned from the reviews' stars.

A segment of a text is a bag of words, each marked where a negation covers it (`clauses`): "good"
and "not good" are two words. Its polarity is the sum of their weights over the root of its length,
squeezed into (-1, 1). The weights solve a ridge regression of "above or below the average number
of stars" on the mean over a review's segments, both sides weighing alike however rare bad reviews
are. They are shrunk towards a small lexicon instead of towards zero, so that without ratings, or
with few, the lexicon speaks.

On 10,261 reviews of musical instruments, the authors of a fifth held out in turn, the mean polarity
of a review's segments ranks reviews of four stars and more above others with an AUC of 0.82 (0.77
by the lexicon alone, 0.81 without it, 0.81 without negation); a ridge on sentence vectors reaches
0.82 as well, and needs an encoder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import lsqr

from warmstart.core.errors import DataError
from warmstart.encoders.clauses import is_chinese, spans, tokens
from warmstart.encoders.cues import CONTRASTS, LACKING, NOT

GOOD = (
    "good", "great", "excellent", "amazing", "awesome", "perfect", "perfectly", "best", "better",
    "love", "loved", "loves", "like", "nice", "nicely", "fantastic", "wonderful", "superb", "solid",
    "sturdy", "reliable", "easy", "easily", "comfortable", "beautiful", "beautifully", "gorgeous",
    "happy", "pleased", "satisfied", "recommend", "recommended", "worth", "works", "impressed",
    "impressive", "favorite", "favourite", "fun", "funny", "enjoy", "enjoyed", "brilliant",
    "charming", "clever", "gripping", "moving", "touching", "fresh", "delicious", "tasty", "smooth",
    "clean", "clear", "crisp", "durable", "fast", "quick", "quiet", "useful", "helpful", "friendly",
    "bargain", "flawless", "flawlessly", "outstanding", "incredible", "neat", "handy",
    "好", "很好", "不错", "喜欢", "优秀", "完美", "满意", "推荐", "精彩", "好看", "好听", "好吃",
    "好用", "漂亮", "舒服", "舒适", "值得", "清晰", "流畅", "感人", "感动", "有趣", "结实", "耐用",
    "方便", "便宜", "实惠", "惊喜", "惊艳", "经典", "出色", "给力", "细腻", "温暖", "温馨", "动听",
    "美味", "新鲜", "可靠", "赞", "棒", "很快", "稳定", "划算", "贴心", "热情", "开心", "安静",
)  # fmt: skip
BAD = (
    "bad", "badly", "poor", "poorly", "terrible", "horrible", "awful", "worst", "worse", "hate",
    "hated", "dislike", "disappointed", "disappointing", "disappointment", "broke", "broken",
    "break", "breaks", "cheap", "cheaply", "flimsy", "useless", "worthless", "waste", "wasted",
    "junk", "garbage", "trash", "crap", "defective", "faulty", "fail", "failed", "fails", "return",
    "returned", "returning", "refund", "boring", "bored", "dull", "slow", "noisy", "noise", "hiss",
    "buzz", "annoying", "uncomfortable", "difficult", "hard", "problem", "problems", "issue",
    "issues", "wrong", "weak", "ugly", "dirty", "stale", "overpriced", "expensive", "unfortunately",
    "regret", "predictable", "shallow", "messy", "loose", "rattle", "scratched", "unreliable",
    "stopped", "died", "dead", "ruined", "cracked", "unusable", "mediocre", "lousy", "avoid",
    "差", "很差", "太差", "烂", "坏", "坏了", "糟糕", "失望", "难看", "难听", "难吃", "难用",
    "无聊", "讨厌", "垃圾", "后悔", "退货", "退款", "破", "破损", "粗糙", "刺耳", "杂音", "噪音",
    "很吵", "太吵", "很慢", "太慢", "卡顿", "太贵", "浪费", "假货", "骗人", "敷衍", "拖沓", "尴尬",
    "老套", "断了", "裂", "松动", "掉色", "发热", "异味", "难闻", "油腻", "冷漠", "问题", "毛病",
    "差劲", "不值",
)  # fmt: skip

Float64 = npt.NDArray[np.float64]

_SEED = 0.8  # weight of a word of the lexicon
_PATIENCE = 3.0  # words; a short segment is not taken at its word
_FEWEST = 3  # reviews that hold a word before its weight is learned
_ENDS = frozenset(".!?;\n。…")
_CONTRASTS = frozenset(c for c in CONTRASTS if c.isascii())
_NEGATIONS = frozenset(c for c in (*NOT, *LACKING) if " " not in c)
_LONGEST = max(len(w) for w in (*GOOD, *BAD) if not w.isascii())
_LEXICON = dict.fromkeys(GOOD, _SEED) | dict.fromkeys(BAD, -_SEED)


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence of a review, or its part before or after "but".

    Attributes:
        start: where it begins in the text.
        stop: where it ends.
        words: its tokens, folded; a Chinese character is a token.
        signs: of the tokens: -1 where a negation covers one.
    """

    start: int
    stop: int
    words: tuple[str, ...]
    signs: tuple[int, ...]


def segments(text: str) -> list[Segment]:
    """Return the segments of a text, in order.

    Example:
        >>> for s in segments("The sound is great, but the neck is not straight."):
        ...     print(" ".join(w if sign > 0 else f"¬{w}" for w, sign in zip(s.words, s.signs)))
        the sound is great ,
        the neck is not ¬straight
    """
    covers = spans(text)
    found: list[Segment] = []
    words: list[str] = []
    signs: list[int] = []
    start = stop = place = 0
    negated = False
    for word, at, end in tokens(text):
        while place < len(covers) and covers[place][1] <= at:
            place += 1
        cover = covers[place][2] if place < len(covers) and covers[place][0] <= at else 0
        if word in _ENDS or word in _CONTRASTS:
            if words:
                found.append(Segment(start, stop, tuple(words), tuple(signs)))
            words, signs, negated = [], [], False
            continue
        if not words:
            start = at
        words.append(word)
        # "don't love it": the verb stands before the clause, and "not bad" inside a wanted one
        signs.append(-1 if cover < 0 or negated else 1)
        negated = word in _NEGATIONS if cover >= 0 or word in _NEGATIONS else False
        stop = end
    if words:
        found.append(Segment(start, stop, tuple(words), tuple(signs)))
    return found


@dataclass(frozen=True, slots=True)
class Polarity:
    """Weights of words; without any, the lexicon alone.

    Attributes:
        weights: word → weight; a word that a negation covers begins with "¬".
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def of(self, segment: Segment) -> float:
        """Return the polarity of a segment, in (-1, 1); 0 where it says nothing.

        Example:
            >>> plain = Polarity()
            >>> [round(plain.of(segments(t)[0]), 1) for t in ("great", "not great", "a chair")]
            [0.4, -0.2, 0.0]
        """
        found = features(segment)
        total = sum(self.weights.get(word, prior(word)) for word in found)
        return float(np.tanh(total / np.sqrt(len(found) + _PATIENCE)))


def features(segment: Segment) -> set[str]:
    """Return the words of a segment, marked with "¬" where a negation covers them.

    Chinese is not written in words: there they are the pairs of neighbours, and what the lexicon
    knows.
    """
    words, signs = segment.words, segment.signs
    found: set[str] = set()
    for at, (word, sign) in enumerate(zip(words, signs, strict=True)):
        mark = "¬" if sign < 0 else ""
        if not is_chinese(word):
            if word[0].isalnum():
                found.add(mark + word)
            continue
        run = word
        if run in _LEXICON:
            found.add(mark + run)
        for more in words[at + 1 : at + _LONGEST]:
            if not is_chinese(more):
                break
            run += more
            if len(run) == 2 or run in _LEXICON:
                found.add(mark + run)
    return found


def prior(word: str) -> float:
    """Return the weight of a word before anything is learned; "not great" is half of "bad"."""
    if word.startswith("¬"):
        return -_LEXICON.get(word[1:], 0.0) / 2
    return _LEXICON.get(word, 0.0)


def learned(
    reviews: Sequence[Sequence[Segment]],
    ratings: Sequence[float] | None,
    *,
    subjects: Collection[str] = (),
    reg: float = 1.0,
) -> Polarity:
    """Return the polarity learned from reviews and their stars.

    Args:
        reviews: the segments of each.
        ratings: (reviews,) stars on any scale, NaN where unknown; None for the lexicon alone.
        subjects: words that are talked about: a thing is not bad because bad items have it.
        reg: how much the lexicon weighs against the reviews.

    Raises:
        DataError: another number of ratings than of reviews.
    """
    if ratings is None:
        return Polarity()
    stars = np.asarray(ratings, np.float64)
    if stars.shape != (len(reviews),):
        raise DataError(f"{stars.size:,} ratings for {len(reviews):,} reviews; give one for each")
    readable = np.array([len(review) > 0 for review in reviews], bool)
    rated = np.flatnonzero(np.isfinite(stars) & readable)
    above = stars[rated] > stars[rated].mean() if len(rated) else np.zeros(0, bool)
    if not above.any() or above.all():
        return Polarity()
    at: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for row, review in enumerate(reviews[int(i)] for i in rated):
        for segment in review:
            found = features(segment)
            share = 1 / np.sqrt(len(found) + _PATIENCE) / len(review)
            for word in sorted(w for w in found if w.lstrip("¬") not in subjects or prior(w)):
                rows.append(row)
                columns.append(at.setdefault(word, len(at)))
                values.append(share)
    x = sp.csr_array((values, (rows, columns)), shape=(len(rated), len(at)))
    x.sum_duplicates()
    names = np.array(list(at), object)
    kept = np.bincount(x.indices, minlength=len(at)) >= _FEWEST
    start = np.array([prior(word) for word in names])
    # both sides together weigh as much as there are reviews
    weight = np.sqrt(np.where(above, 0.5 / above.mean(), 0.5 / (1 - above.mean())))
    target = np.where(above, 1.0, -1.0) - x @ start
    scaled = sp.csr_array(sp.diags_array(weight) @ x[:, kept])
    middle = weight / np.sqrt(np.square(weight).sum())  # the intercept is free: projected out
    free = sp.linalg.LinearOperator(
        scaled.shape,
        matvec=lambda v: _apart(scaled @ v, middle),
        rmatvec=lambda v: scaled.T @ _apart(v, middle),
        dtype=np.float64,
    )
    moved = lsqr(free, _apart(weight * target, middle), damp=np.sqrt(reg), iter_lim=300)[0]
    found_weights = start[kept] + moved
    return Polarity(dict(zip(names[kept].tolist(), found_weights.tolist(), strict=True)))


def _apart(v: Float64, middle: Float64) -> Float64:
    """Return a vector without its part along another of length 1."""
    v = np.ravel(v)
    return v - middle * (middle @ v)
