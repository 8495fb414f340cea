"""What reviewers of an item talk about, and how favourably; no generative model.

A term is a noun, or a noun with the word before it; in Chinese two to four characters that hold
together: they occur together more often than by chance, and with various neighbours. Nouns are told
by their company: something like "the" before them, and a function word or the end of the clause
behind; proper names, which are written with a capital, are no terms. Of an item those terms are
named that its authors use more than the authors of all other items: log-odds with an informative
Dirichlet prior, in standard errors. Each author counts once per term, so nobody can dominate, and a
term needs two authors, or a few in a hundred of many. What a good third of an item's authors say,
or of all authors, is its kind ("guitar") and is left out, and so are the words of its name where
one is given.

The polarity of a term is the mean over authors of the polarity of their segments that hold it.

Reference: Monroe, Colaresi & Quinn 2008, doi:10.1093/pan/mpn018.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from warmstart.core.errors import DataError
from warmstart.encoders.clauses import is_chinese, tokens
from warmstart.encoders.polarity import BAD, GOOD, Polarity, Segment, learned, segments

Item = TypeVar("Item", bound=Hashable)

DETERMINERS = frozenset((
    "the", "a", "an", "this", "that", "these", "those", "my", "your", "his", "her", "its", "their",
    "our", "of", "no", "some", "any", "each", "every", "with", "for", "in", "on", "and", "or",
    "more", "much", "enough", "all", "both", "other", "two", "three", "without", "from", "by",
    "very", *GOOD, *BAD,
))  # fmt: skip
COMMON = frozenset((  # never part of a term
    "the", "a", "an", "this", "that", "these", "those", "my", "your", "his", "her", "its", "their",
    "our", "of", "no", "not", "some", "any", "each", "every", "with", "for", "in", "on", "and",
    "or", "more", "most", "much", "many", "enough", "all", "both", "other", "others", "another",
    "one", "ones", "two", "three", "four", "five", "without", "from", "by", "very", "i", "i'm",
    "i've", "i'd", "i'll", "me", "we", "us", "you", "you're", "he", "she", "it", "it's", "they",
    "them", "who", "what", "which", "where", "when", "why", "how", "is", "are", "was", "were", "be",
    "been", "being", "am", "do", "does", "did", "done", "doing", "have", "has", "had", "having",
    "can", "can't", "could", "will", "won't", "would", "should", "may", "might", "must", "don't",
    "doesn't", "didn't", "isn't", "wasn't", "aren't", "weren't", "couldn't", "wouldn't", "that's",
    "there", "there's", "here", "to", "at", "as", "if", "than", "then", "so", "too", "but",
    "because", "since", "while", "although", "though", "however", "about", "after", "before",
    "over", "under", "up", "down", "out", "off", "into", "onto", "through", "between", "during",
    "until", "again", "also", "just", "only", "even", "still", "yet", "ever", "never", "always",
    "often", "sometimes", "usually", "really", "quite", "pretty", "rather", "almost", "well", "now",
    "today", "once", "already", "actually", "probably", "maybe", "perhaps", "such", "same", "own",
    "like", "get", "gets", "got", "getting", "go", "goes", "went", "going", "make", "makes", "made",
    "making", "take", "takes", "took", "give", "gives", "gave", "put", "use", "used", "uses",
    "using", "buy", "bought", "buying", "say", "says", "said", "see", "seen", "saw", "know",
    "think", "thought", "want", "wanted", "need", "needed", "needs", "try", "tried", "find",
    "found", "look", "looks", "looked", "looking", "feel", "feels", "felt", "seem", "seems", "come",
    "comes", "came", "keep", "keeps", "kept", "let", "lot", "lots", "bit", "little", "few", "less",
    "thing", "things", "something", "anything", "everything", "nothing", "someone", "anyone",
    "everyone", "time", "times", "way", "ways", "kind", "sort", "type", "day", "days", "week",
    "weeks", "month", "months", "year", "years", "hour", "hours", "minute", "minutes", "people",
    "person", "guy", "guys", "reason", "fact", "course", "case", "end", "part", "side", "hand",
    "point", "job", "deal", "product", "products", "item", "items", "review", "reviews", "reviewer",
    "reviewers", "star", "stars", "amazon", "order", "ordered", "purchase", "purchased", "money",
    "set", "pair", "couple", "half", "rest", "new", "old", "big", "small", "long", "short", "high",
    "low", "first", "second", "last", "next", "different", "able", "sure", "right", "left", "full",
    "real", "free", "around", "away", "back", "etc", "ok", "okay", "yes", "wife", "husband", "son",
    "daughter", "friend", "friends", "kid", "kids", "anyway", "whatever", "stuff", "problem",
    "problems", "issue", "issues", "idea", "word", "words", "difference", "plus", "quot", "amp",
    "http", "https", "www", "com", "place", "brand", "pack", "size", "quality",
))  # fmt: skip
NAMED = frozenset((  # of the lexicon of polarity, and still something to talk about
    "noise", "hiss", "buzz", "rattle",
    "杂音", "噪音", "异味",
))  # fmt: skip
EDGES = frozenset(
    "的了是在我有和就不人都一也很到说要去你会着没好这那他她它们个只吧啊呢吗呀哦嘛把被让给从对与及或而但因所以如"
    "最太更还再又非真点些为之其此等过来得地能可想看用买很挺比较觉感上下里中后前时候每次天年月日几多少大小两三"
)
FUNCTION = frozenset(("", *"的了是在我你他她它很太不也都就还又和与对把被让这那有没吧啊呢吗"))
INSIDE = frozenset("不很太了的也都一" + "".join(w for w in (*GOOD, *BAD) if len(w) == 1))
_OPINIONS = (frozenset(GOOD) | frozenset(BAD)) - NAMED
_BEHIND = COMMON | _OPINIONS
_NOUN = 0.2  # share of a word's occurrences in a noun's company
_KIND = 1 / 3  # share of an item's authors from which on, and a little, a term is its kind
_AUTHORS = 2
_SHARE = 0.04  # of an item's authors
_CAPITAL = 0.5  # share of a word's occurrences inside sentences that make it a name
_PRIOR = 500.0  # terms that the prior counts for, or a tenth of all if that is less
_LEAST_Z = 1.0
_COHESION = 1.5  # nats above chance at the weakest seam of a Chinese term
_NEIGHBOURS = 0.6  # nats of entropy on either side of one
_LONGEST_EXAMPLE = 160


@dataclass(frozen=True, slots=True)
class Aspect:
    """Something that reviewers of an item talk about.

    Attributes:
        term: one or two words, or two to four Chinese characters, as most write it.
        polarity: in [-1, 1], the mean over authors.
        n_authors: who mention it.
        example: a short passage that mentions it, from the text.
    """

    term: str
    polarity: float
    n_authors: int
    example: str


@dataclass(frozen=True, slots=True)
class _Mention:
    author: int
    polarity: float
    text: str


def aspects(
    texts: Sequence[str],
    items: Sequence[Item],
    authors: Sequence[Hashable],
    ratings: Sequence[float] | None = None,
    *,
    most: int = 8,
    names: Mapping[Item, str] | None = None,
    only: Collection[Item] | None = None,
    polarity: Polarity | None = None,
) -> dict[Item, list[Aspect]]:
    """Return what is said of each item, the most its own first.

    Args:
        texts: (reviews,) in English or Chinese.
        items: (reviews,) of which each is.
        authors: (reviews,) by whom.
        ratings: (reviews,) stars, NaN where unknown: from them the polarity of words is learned.
        most: aspects of an item.
        names: of the items; their words are no aspects.
        only: these items, compared with all; by default all.
        polarity: in place of one learned here.

    Raises:
        DataError: not one item, author and rating for each text.

    Example:
        >>> texts = ["The battery is great.", "The battery lasts, a great battery",
        ...          "The lens broke.", "The case is fine.", "The case is ugly, the lens is bad"]
        >>> found = aspects(texts, ["a", "a", "b", "c", "b"], [1, 2, 3, 1, 2])
        >>> [(x.term, x.n_authors, x.polarity > 0) for x in found["a"]]
        [('battery', 2, True)]
        >>> [(x.term, x.n_authors, x.polarity > 0) for x in found["b"]]
        [('lens', 2, False)]
    """
    if not len(texts) == len(items) == len(authors):
        raise DataError(
            f"{len(texts):,} texts, {len(items):,} items and {len(authors):,} authors; give one "
            "item and one author for each text"
        )
    cut = [segments(text) for text in texts]
    nouns, chinese = _nouns(texts, cut), _chinese_terms(cut)
    if polarity is None:
        every = {word for review in cut for segment in review for word in segment.words}
        subjects = {word for word in every if _key(word) in nouns} | chinese
        polarity = learned(cut, ratings, subjects=subjects)
    said: dict[Item, dict[str, list[_Mention]]] = {item: defaultdict(list) for item in items}
    shown = set(items if only is None else only)
    spelled: dict[str, Counter[str]] = defaultdict(Counter)
    people = {author: number for number, author in enumerate(dict.fromkeys(authors))}
    held: dict[Item, set[tuple[int, str]]] = defaultdict(set)
    for text, item, author, review in zip(texts, items, authors, cut, strict=True):
        for segment in review:
            found = dict(_terms(segment, nouns, chinese))
            held[item] |= {(people[author], key) for key in found}
            if item not in shown or not found:
                continue
            mention = _Mention(
                people[author], polarity.of(segment), text[segment.start : segment.stop]
            )
            for key, written in found.items():
                spelled[key][written] += 1
                said[item][key].append(mention)
    counts = {item: Counter(key for _, key in pairs) for item, pairs in held.items()}
    total: Counter[str] = Counter()
    for count in counts.values():
        total.update(count)
    everything = sum(total.values())
    everywhere = _kinds(total, sum(len({who for who, _ in pairs}) for pairs in held.values()))
    result: dict[Item, list[Aspect]] = {}
    for item in dict.fromkeys(items):
        if item not in shown:
            continue
        name = (names or {}).get(item, "").casefold()
        named = {_key(word) for word, _, _ in tokens(name) if not is_chinese(word)}
        mine = counts.get(item, Counter())
        crowd = len({author for author, _ in held[item]})
        named |= _kinds(mine, crowd) | everywhere
        z = _overuse(mine, total, everything)
        chosen: list[str] = []
        for key in sorted(z, key=lambda k: (-z[k], k)):
            if mine[key] < max(_AUTHORS, _SHARE * crowd) or z[key] < _LEAST_Z:
                continue
            if key in name or _is_named(key, named) or any(_same(key, o) for o in chosen):
                continue
            chosen.append(key)
            if len(chosen) == most:
                break
        result[item] = [_aspect(spelled[key], said[item][key]) for key in chosen]
    return result


def _overuse(mine: Counter[str], total: Counter[str], everything: int) -> dict[str, float]:
    """Return the z-score of the log-odds of each term in an item against all others.

    Where there are no others, terms go by their number.
    """
    keys = [key for key, n in mine.items() if n >= _AUTHORS]
    if not keys:
        return {}
    here = np.array([mine[k] for k in keys], np.float64)
    there = np.array([total[k] for k in keys], np.float64) - here
    n_here = float(sum(mine.values()))
    n_there = everything - n_here
    if not n_there:
        return dict(zip(keys, here.tolist(), strict=True))
    prior = min(_PRIOR, everything / 10)
    alpha = prior * (here + there) / everything
    rest = prior + 1 - alpha  # of the prior for other terms; one is for those that nobody wrote yet
    a = np.log((here + alpha) / (n_here - here + rest))
    b = np.log((there + alpha) / (n_there - there + rest))
    z = (a - b) / np.sqrt(1 / (here + alpha) + 1 / (there + alpha))
    return dict(zip(keys, z.tolist(), strict=True))


def _kinds(counts: Counter[str], crowd: int) -> set[str]:
    """Return what so many of a crowd say that it is what they talk of, not what they say of it."""
    return {key for key, n in counts.items() if n > _KIND * crowd + 1.5 * np.sqrt(crowd)}


def _is_named(key: str, named: Collection[str]) -> bool:
    if is_chinese(key):
        n = len(key)
        return any(key[a:b] in named for a in range(n) for b in range(a + 2, n + 1))
    return any(word in named for word in key.split())


def _same(key: str, other: str) -> bool:
    """Whether two terms share a word, or, in Chinese, two characters."""
    if is_chinese(key) and is_chinese(other):
        return bool({key[i : i + 2] for i in range(len(key) - 1)}
                    & {other[i : i + 2] for i in range(len(other) - 1)})  # fmt: skip
    return bool(set(key.split()) & set(other.split()))


def _aspect(spelled: Counter[str], mentions: Sequence[_Mention]) -> Aspect:
    by_author: dict[int, list[float]] = defaultdict(list)
    for mention in mentions:
        by_author[mention.author].append(mention.polarity)
    polarity = float(np.mean([np.mean(found) for found in by_author.values()]))
    term = max(spelled, key=lambda written: (spelled[written], written))
    # of the short passages the one that speaks most in the direction of the whole
    side = 1.0 if polarity >= 0 else -1.0
    best = max(
        mentions,
        key=lambda m: (len(m.text) <= _LONGEST_EXAMPLE, side * m.polarity, -len(m.text)),
    )
    example = "".join(c for c in " ".join(best.text.split()) if c.isprintable())
    if len(example) > _LONGEST_EXAMPLE:
        example = example[: _LONGEST_EXAMPLE - 1].rstrip() + "…"
    return Aspect(term, polarity, len(by_author), example)


def _terms(
    segment: Segment, nouns: Collection[str], chinese: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield the terms of a segment: what counts as the same, and as it is written."""
    before = ""
    for word in segment.words:
        if is_chinese(word) or not _may_be(word):
            before = ""
            continue
        if _key(word) in nouns:
            yield _key(word), word
            if before:
                yield f"{_key(before)} {_key(word)}", f"{before} {word}"
        before = word
    for run in _runs(segment):
        for size in (2, 3, 4):
            for at in range(len(run) - size + 1):
                if run[at : at + size] in chinese:
                    yield run[at : at + size], run[at : at + size]


def _may_be(word: str) -> bool:
    if len(word) < 3 or not word.isalpha():
        return False
    return not {word, _key(word)} & COMMON and word not in _OPINIONS


def _key(word: str) -> str:
    """Return a word without its plural, so that "strings" and "string" are one.

    Example:
        >>> [_key(w) for w in ("strings", "bass", "batteries", "bus", "boxes")]
        ['string', 'bass', 'battery', 'bus', 'box']
    """
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("xes", "shes", "ches", "sses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _nouns(texts: Sequence[str], reviews: Sequence[Sequence[Segment]]) -> set[str]:
    """Return the words that keep the company of nouns, and are no names."""
    seen: Counter[str] = Counter()
    noun: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for text, review in zip(texts, reviews, strict=True):
        for segment in review:
            words = segment.words
            first = segment.start
            for word, at, _ in tokens(text[first : segment.stop]):
                if at and not is_chinese(word) and _may_be(word):
                    inside[_key(word)] += 1
                    capital[_key(word)] += text[first + at].isupper()
            for at, word in enumerate(words):
                if is_chinese(word) or not _may_be(word):
                    continue
                key = _key(word)
                seen[key] += 1
                behind = words[at + 1] if at + 1 < len(words) else ","
                ends = behind in _BEHIND or not behind[0].isalnum()
                noun[key] += ends and at > 0 and words[at - 1] in DETERMINERS
    return {
        key
        for key, n in seen.items()
        if noun[key] >= max(2, _NOUN * n) and capital[key] <= _CAPITAL * inside[key]
    }


def _runs(segment: Segment) -> Iterator[str]:
    run = ""
    for word in segment.words:
        if is_chinese(word):
            run += word
        elif run:
            yield run
            run = ""
    if run:
        yield run


def _chinese_terms(reviews: Sequence[Sequence[Segment]]) -> set[str]:
    """Return what holds together: 2 to 4 characters, more than chance, with free neighbours."""
    count: Counter[str] = Counter()
    beside: dict[str, tuple[Counter[str], Counter[str]]] = {}
    n_runs = 0
    for review in reviews:
        for segment in review:
            for run in _runs(segment):
                n_runs += 1
                for size in (1, 2, 3, 4):
                    for at in range(len(run) - size + 1):
                        piece = run[at : at + size]
                        count[piece] += 1
                        if size > 1:
                            left, right = beside.setdefault(piece, (Counter(), Counter()))
                            # an end, and a function word, is each time another neighbour
                            one, other = run[at - 1 : at], run[at + size : at + size + 1]
                            left[f"<{n_runs}" if one in FUNCTION else one] += 1
                            right[f">{n_runs}" if other in FUNCTION else other] += 1
    letters = sum(n for piece, n in count.items() if len(piece) == 1)
    found = set()
    for piece, (left, right) in beside.items():
        n = count[piece]
        if n < _AUTHORS or piece[0] in EDGES or piece[-1] in EDGES or piece in _OPINIONS:
            continue
        if set(piece) & INSIDE or _holds_opinion(piece):
            continue
        seams = (
            np.log(n * letters / (count[piece[:i]] * count[piece[i:]]))
            for i in range(1, len(piece))
        )
        if min(seams) >= _COHESION and min(_entropy(left), _entropy(right)) >= _NEIGHBOURS:
            found.add(piece)
    return found


def _holds_opinion(piece: str) -> bool:
    n = len(piece)
    return any(piece[a:b] in _OPINIONS for a in range(n) for b in range(a + 2, n + 1))


def _entropy(counts: Counter[str]) -> float:
    share = np.array(list(counts.values()), np.float64)
    share /= share.sum()
    return float(-(share * np.log(share)).sum())
