"""A wish or a review cut into clauses, and which of them are wanted; English and Chinese.

A sentence vector hardly knows "horror" from "no horror". So negation is read here, by rules, and
the encoder sees content alone. A text becomes tokens (a word, a Chinese character, a mark); phrases
of `encoders.cues` are cues; what stands between cues is content, and its sign is the last
cue's:

- a comma ends what a cue covers, unless a list goes on to "or" ("no horror, gore or blood") or
  began with a colon; so do "but" and the end of a sentence; 、 ends nothing;
- two negations that touch cancel ("not without humour", 不讨厌), and so does "without" inside what
  is unwanted ("I hate films without jokes": jokes are wanted);
- 的 ends what 没有, 不 or 不要 covers (没有血腥的悬疑片: no 血腥, but 悬疑片), not what a verb of
  dislike does (讨厌血腥的电影);
- a negation at the end covers what is before it (无聊的不要, "Horror? No thanks");
- what is merely tolerated ("I don't mind violence", 不介意) is neither wanted nor unwanted: it is
  left out;
- titles in quotes or in 《》 are never read as cues.

Limits: irony, comparisons ("rather A than B", 比起), questions, cues inside a title without quotes
("No Country for Old Men"), and prefixes ("non-violent", 无暴力) are not understood, and nothing but
English and Chinese is. Time is linear in the length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from warmstart.encoders.cues import (
    ABBREVIATED,
    ADVERBS,
    BEFORE_CUE,
    BEYOND,
    CLOSERS,
    CONTENT,
    CONTRASTS,
    JOINTS,
    LACKING,
    LAST,
    NOT,
    PRONOUNS,
    REQUESTS,
    SPARING,
    TOLERATED,
    UNWANTED,
    VERBS,
    WANTED,
)

_HARD = frozenset(".!?;\n。…")
_SOFT = frozenset(",:()[]{}|—–~【】")
_CHINESE = "\u3400-\u9fff\uf900-\ufaff"
_WORD = rf"[^\W_{_CHINESE}]"
_TOKEN = re.compile(
    rf'《[^》\n]{{1,80}}》|"[^"\n]{{1,80}}"|\n|[{_CHINESE}]|{_WORD}+(?:\'{_WORD}+)*|\S'
)
_ALIKE: dict[int, int | str] = {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)}  # ＡＢＣ
_ALIKE |= {ord(a): b for a, b in zip("’‘＇`“”「」　", "''''\"\"\"\" ", strict=True)}
_ALIKE |= {
    ord(a): b
    for a, b in zip(
        "討厭沒別歡愛過無請幫給點麼會們還應該棄煩遠離絕併這種聽讀買對戰",
        "讨厌没别欢爱过无请帮给点么会们还应该弃烦远离绝并这种听读买对战",
        strict=True,
    )
}
_LIST_REACH = 16  # tokens in which a list must come to "or"
_BESIDES_REACH = 24


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a text.

    Attributes:
        text: as it stands in the text.
        sign: 1 wanted, -1 unwanted.
    """

    text: str
    sign: int


def clauses(text: str) -> list[Clause]:
    """Return the content of a text in clauses, in order; empty only where nothing is written.

    Args:
        text: a wish, or a review.

    Example:
        >>> [(c.text, c.sign) for c in clauses("slow, thoughtful space films, nothing violent")]
        [('slow, thoughtful space films', 1), ('violent', -1)]
        >>> [(c.text, c.sign) for c in clauses("想看太空科幻，不要暴力")]
        [('太空科幻', 1), ('暴力', -1)]
    """
    return [Clause(text[start:stop], sign) for start, stop, sign in spans(text)]


def spans(text: str) -> list[tuple[int, int, int]]:
    """Return where the clauses of a text begin and end, and their signs; see `clauses`."""
    words = [_Word(*token) for token in tokens(text)]
    found = _Reader(words, text).read()
    if not found and any(_is_content(w.text) for w in words):
        start = len(text) - len(text.lstrip())
        found = [(start, len(text.rstrip()), 1)]
    return found


def tokens(text: str) -> list[tuple[str, int, int]]:
    """Return the tokens of a text: folded, and where each begins and ends.

    Example:
        >>> [word for word, _, _ in tokens("Don’t 看《活着》！")]
        ["don't", '看', '《活着》', '!']
    """
    found = _TOKEN.finditer(text.translate(_ALIKE))
    return [(m[0].casefold(), m.start(), m.end()) for m in found]


def is_chinese(token: str) -> bool:
    """Whether a token is a Chinese character."""
    return "\u3400" <= token[0] <= "\u9fff" or "\uf900" <= token[0] <= "\ufaff"


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    stop: int


@dataclass(slots=True)
class _Reader:
    """One walk over the tokens: content is gathered in a run, cues and breaks end it."""

    words: Sequence[_Word]
    text: str
    done: list[tuple[int, int, int]] = field(default_factory=list)  # tokens first, behind last
    joins: list[bool] = field(default_factory=list)  # does a comma alone stand before it?
    begin: int = 0
    sign: int = 1  # of the run; 0 is left out
    outer: int = 1  # to which 的 goes back
    light: bool = False  # the last cue ends at 的
    cued: str = ""  # kind of the cue that this run began with
    comma: bool = False  # nothing but a comma since the last run
    listing: bool = False  # a colon stood behind the cue: "dislikes: horror, war"
    before: int = -1  # the run that a negation which stands alone would cover

    def read(self) -> list[tuple[int, int, int]]:
        at, n = 0, len(self.words)
        while at < n:
            word = self.words[at].text
            if self._is_break(at):
                self._break(at, word)
                at += 1
                continue
            if word == "的" and self.light and at > self.begin:
                self._end(at)
                self.sign, self.light, self.begin = self.outer, False, at + 1
                self.cued, self.comma = "", False
            kind, size = _match(self.words, at)
            if not kind:
                at += 1
            else:
                at = self._cue(at, kind, size)
        self._break(n, "")
        return self._joined()

    def _is_break(self, at: int) -> bool:
        word, here = self.words[at].text, self.words[at]
        if word == ".":  # not in 4.5 or "Mr. Robot"
            before = self.words[at - 1].text if at else ""
            if before in ABBREVIATED or (
                len(before) == 1 and before.isascii() and before.isalpha()
            ):
                return False  # an initial, too: Dean R. Brooks
            return at + 1 == len(self.words) or self.words[at + 1].start > here.stop
        if word == "-":
            apart = self.text[max(0, here.start - 1) : here.stop + 1]
            return len(apart) == 3 and apart[0].isspace() and apart[2].isspace()
        return word in _HARD or word in _SOFT

    def _break(self, at: int, word: str) -> None:
        ended = self._end(at)
        lone = not ended and self.cued == "unwanted"
        if lone and self.before >= 0:
            start, stop, sign = self.done[self.before]
            self.done[self.before] = (start, stop, self.sign * sign)
        if word == "?" and ended:
            self.before = len(self.done) - 1
        elif not lone or word in _SOFT:
            self.before = -1
        carries = word == "," and ended and self.sign < 0
        carries = carries and (self.listing or self._goes_on(at + 1))
        self.comma = word == "," and ended
        if not carries:
            self.sign, self.cued, self.listing = 1, "", False
        self.outer, self.light, self.begin = self.sign, False, at + 1

    def _goes_on(self, at: int) -> bool:
        """Whether a list goes on to "or" before any other cue."""
        for place in range(at, min(at + _LIST_REACH, len(self.words))):
            word = self.words[place].text
            if word in ("or", "nor"):
                return True
            if (self._is_break(place) and word != ",") or _match(self.words, place)[0]:
                return False
        return False

    def _cue(self, at: int, kind: str, size: int) -> int:
        """Take a cue in, with what belongs to it; return the place behind."""
        fresh = not self._any_content(self.begin, at)
        if kind == "content":
            return at + size
        if kind == "request":
            if fresh:
                self.begin, self.comma = at + size, False
            return at + size
        if kind == "closer":
            if fresh or self.cued == "unwanted":
                self._end(at)
                self.sign, self.outer, self.light, self.begin = 1, 1, False, at + size
                self.cued = "closed"
            return at + size
        if kind == "contrast":
            if not fresh or self.cued:
                self._break(at, ";")
            self.begin = at + size
            return at + size
        touching = fresh and self.cued == "unwanted"
        joined = at > 0 and self.words[at - 1].text in JOINTS  # "no robots and no wars"
        inside = not fresh and self.sign < 0 and not joined
        if self._end(at, before_cue=True):
            self.before = len(self.done) - 1
        self.comma = False
        stop = at + size
        if kind == "tolerated":
            self.sign = self.outer = 0
            self.light, self.cued = False, "tolerated"
        elif kind == "wanted":
            if not touching:
                self.sign = 1
            self.outer, self.light, self.cued = self.sign, False, self.cued if touching else kind
        else:
            back = touching or (inside and kind == "lacking")
            self.outer = self.sign if back else 1
            self.sign = (-self.sign or -1) if back else -1
            said = "".join(word.text for word in self.words[at:stop])
            self.light = kind in ("not", "lacking") or said in SPARING
            self.cued = "unwanted"
            if kind == "not":
                verb = _match(self.words, stop, _VERBS)[1]
                if verb:
                    stop, self.light = stop + verb, False
            if self.words[at].text == "除" and self._besides(stop):
                self.sign, self.cued = 1, "wanted"
            if not self.light:
                self.outer = self.sign
        self.listing = stop < len(self.words) and self.words[stop].text == ":"
        stop += self.listing
        self.begin = stop
        return stop

    def _besides(self, at: int) -> bool:
        for place in range(at, min(at + _BESIDES_REACH, len(self.words))):
            word = self.words[place].text
            if word in _HARD or word == "都":
                return False
            if word in BEYOND:
                return True
        return False

    def _any_content(self, first: int, stop: int) -> bool:
        # a run of marks alone is short or ends at a break, so this looks back a few tokens only
        return any(_is_content(w.text) for w in self.words[first : min(stop, first + 8)])

    def _end(self, stop: int, *, before_cue: bool = False) -> bool:
        """Close the run before token `stop`; return whether it holds content."""
        first, end = self.begin, stop
        self.begin = stop
        while end > first and (
            not _is_content(self.words[end - 1].text)
            or self.words[end - 1].text in LAST
            or (before_cue and self.words[end - 1].text in BEFORE_CUE)
        ):
            end -= 1
        while first < end and not _is_content(self.words[first].text):
            first += 1
        if first == end or self.sign == 0:
            return False
        if end - first == 1 and self.words[first].text in PRONOUNS:
            return False
        self.done.append((first, end, self.sign))
        self.joins.append(self.comma)
        self.comma = False
        return True

    def _joined(self) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        for (first, end, sign), joins in zip(self.done, self.joins, strict=True):
            start, stop = self.words[first].start, self.words[end - 1].stop
            if joins and found and found[-1][2] == sign:
                found[-1] = (found[-1][0], stop, sign)
            else:
                found.append((start, stop, sign))
        return found


@lru_cache(maxsize=4096)
def _is_content(word: str) -> bool:
    """Whether a token is a word, a title in quotes or a sign, and no mark of punctuation."""
    kinds = [unicodedata.category(c) for c in word]
    return not all(kind[0] in "PZ" or kind in ("Cc", "Cf") for kind in kinds)


@dataclass(slots=True)
class _Node:
    """A place in the tree of phrases; `kind` is empty where no phrase ends."""

    kind: str = ""
    after: dict[str, _Node] = field(default_factory=dict)


def _tree(kinds: Iterable[tuple[str, Sequence[str]]]) -> _Node:
    """Return the phrases by their tokens; what stands twice is of the earlier kind."""
    root = _Node()
    for kind, phrases in kinds:
        for phrase in phrases:
            node = root
            for token, _, _ in tokens(phrase):
                node = node.after.setdefault(token, _Node())
            node.kind = node.kind or kind
    return root


_CUES = _tree((
    ("content", CONTENT), ("unwanted", UNWANTED), ("lacking", LACKING), ("not", NOT),
    ("tolerated", TOLERATED), ("wanted", WANTED), ("contrast", CONTRASTS), ("closer", CLOSERS),
    ("request", REQUESTS),
))  # fmt: skip
_VERBS = _tree([("verb", VERBS)])


def _match(words: Sequence[_Word], at: int, tree: _Node = _CUES) -> tuple[str, int]:
    """Return the kind and the tokens of the longest phrase that begins here; "" and 0 for none."""
    if at >= len(words) or words[at].text not in tree.after:
        return "", 0
    kind, size = _walk(words, at + 1, tree.after[words[at].text], 0)
    if (kind, size) == ("lacking", 1) and words[at].text == "no":  # No. 5
        rest = [w.text for w in words[at + 1 : at + 3]]
        if rest and (rest[0].isdigit() or (rest[0] == "." and rest[-1].isdigit())):
            return "content", 1
    return kind, size


def _walk(words: Sequence[_Word], at: int, node: _Node, skipped: int) -> tuple[str, int]:
    """Follow a phrase on from a node, with up to two adverbs between its words."""
    best = (node.kind, 1 if node.kind else 0)
    if at < len(words) and node.after:
        word = words[at].text
        ways = [(node.after[word], skipped)] if word in node.after else []
        if skipped < 2 and word in ADVERBS:
            ways.append((node, skipped + 1))
        for after, skips in ways:
            kind, size = _walk(words, at + 1, after, skips)
            if size and (after is not node or kind != node.kind or size > 1) and size + 1 > best[1]:
                best = (kind, size + 1)
    return best
