"""A request to a `Wish` without any language model: rules, names, and what the catalogue holds.

Clauses say what is wanted and what is not (`encoders.clauses`). Out of each are taken: names of
items, values of the catalogue, years, other bounds, and a count. What is left is what the items
should be like, in the words of the request.

- A value that is named is a condition: "comedies", 不要动画片. Where several of one column are
  joined ("comedies or westerns"), where the words only lean to a value ("funny"), or where it is
  a matter of degree ("less romance", "no slow dramas"), it is part of the likes or dislikes.
- An amount is a condition where the catalogue has such a column, and words where it has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from warmstart.encoders.clauses import spans
from warmstart.encoders.eras import Era, mentions
from warmstart.llm.clean import clean
from warmstart.llm.parse import language_of
from warmstart.llm.wish import Condition, Operator, Wish
from warmstart.recommenders.asking.amounts import KINDS_EN, KINDS_ZH, bounds, count
from warmstart.recommenders.asking.attributes import Attributes, Mention
from warmstart.recommenders.asking.naming import Named, names
from warmstart.recommenders.titles import Titles

MOST_CHARS = 500
"""Of a request that are read."""

MOST_YEARS_OUT = 12
"""A range of so many years can be ruled out; a longer one is a dislike in words."""

_NEVER, _ALWAYS = 0, 9999
_FLIPPED: dict[Operator, Operator] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_DEGREE = re.compile(
    r"\b(?:less|fewer|(?:too|so|very)(?: much| many)?|overly|mostly)(?: of)?(?: an?| the)?\s*$"
    r"|(?:少[点些]?|少一[点些]|太多?|那么|怎么|很多?)\s*$",
    re.IGNORECASE,
)
_JOINT = re.compile(r"\s*(?:\bor\b|\band\b|\bnor\b|,|/|、|，|和|或者?|以及|与)\s*", re.IGNORECASE)
_ADJACENT = re.compile(r"[\s的-]*")
_HEAD = re.compile(
    r"^(?:(?:about|with|of|and|or|but|that|which|who|are|is|it's|be|from|by|made|to|one|some|any|few|"
    r"please|me|us|also|more|a|an|the|i|my|just|really|what|next|good|great|best|nice|new|"
    rf"{KINDS_EN})\b(?:$|\s+)(?!\S*ed\b\s*$)|[\s,.;:!?，。；：！？、…·-]+|关于|讲述?|有关|以及|和|也|有|是|要|想|看|一些|"
    r"一点|一个|几|的|些|吗|呢|吧|得|很|我|你|请|给|来|推荐|好看)+",
    re.IGNORECASE,
)
_FILLER_EN = re.compile(
    rf"\b(?:{KINDS_EN}|what|should|could|would|can|do|you|i|we|me|us|my|to|watch|see|read|hear|play|"
    r"buy|tonight|today|now|next|recommend|suggest|show|give|find|want|like|love|enjoy|surprise|"
    r"please|some|any|more|few|good|great|best|nice|new|something|anything|else|a|an|the|of|for|on|"
    r"in|at|and|or|but|it|is|are|be|that|this|there|have|has|got|about|with|from|by|them|these|"
    r"those|one|just|really|hi|hello|hey|thanks|thank|which|kids|friends|also|then|so|not|too|set|"
    r"made|most|very|other|another|evening|weekend|idea|ideas|i'd|i'm|let|know|whatever|am|"
    r"looking|all|time|how|get|list|help|bored|loved?|liked?|hated?|enjoyed|seen|watched|ideally|"
    r"preferably|similar|"
    r"starring|directed|written|featuring|who|in the style|my|mine|our|much|many|lot|"
    r"lots)\b",
    re.IGNORECASE,
)
_FILLER_ZH = re.compile(
    rf"{KINDS_ZH}|今晚|今天|现在|晚上|周末|什么|怎么|哪些|有没有|没有|"
    r"推荐|一些|一下|一点|几部|好看|好听|好玩|"
    r"喜欢|类似|还有|其他|随便|帮我|给我|我|你|请|想|看|听|读|买|玩|要|有|吗|呢|吧|啊|的|了|片|部|本|个|些|点|"
    r"很|也|都|还|和|或|这样|那样|一样|过|爱|来|再|找|好|新|得|是|就|能|会|可以|以及|谢谢|觉得|不错|像|跟|"
    r"左右|大概|大约|题材|导演|主演|出演|演"
)
_CUT = re.compile(rf"\b(?:{KINDS_EN})\b|(?<=[\u4e00-\u9fff])的(?=[\u4e00-\u9fff])", re.IGNORECASE)
_ABOUT = re.compile(r"\s*(?:about\b|关于|有关|讲)", re.IGNORECASE)
_KIND = re.compile(rf"\b(?:{KINDS_EN})\b|{KINDS_ZH}", re.IGNORECASE)
_NO_KIND = re.compile(
    r"(?:things?|ones|items?|titles?|classics|recommendations?|suggestions?|series|pictures?)",
    re.IGNORECASE,
)
_THAN = re.compile(r"\bthan\s*$|比\s*$", re.IGNORECASE)


@dataclass(slots=True)
class _Reading:
    """What has been read so far, and which characters it took."""

    text: str
    taken: list[bool]
    filters: list[Condition] = field(default_factory=list)
    likes: list[str] = field(default_factory=list)
    dislikes: list[str] = field(default_factory=list)

    def take(self, start: int, stop: int) -> None:
        self.taken[start:stop] = [True] * (stop - start)

    def require(self, column: str, operator: Operator, value: str | float) -> None:
        number = int(value) if isinstance(value, float) and value.is_integer() else value
        condition = Condition(column=column, operator=operator, value=number)
        if condition not in self.filters:
            self.filters.append(condition)


def parse(query: str, titles: Titles, known: Attributes) -> Wish:
    """Return what a request asks for.

    Args:
        query: in English, Chinese or both; anything else gives words alone.
        titles: of the catalogue.
        known: its attributes.

    Example:
        >>> from warmstart.data import Ids
        >>> known = Attributes(
        ...     {"genres": ("Comedy", "Horror")}, {"year": (1950, 2000)}, {"year": "year"}
        ... )
        >>> wish = parse("five comedies before 1990, no horror", Titles(Ids([1]), ["Alien"]), known)
        >>> [(c.column, c.operator, c.value) for c in wish.filters], wish.count
        ([('genres', 'has', 'Comedy'), ('year', '<=', 1989), ('genres', 'has not', 'Horror')], 5)
    """
    text = clean(query, MOST_CHARS)
    named = [n for n in names(text, titles, known) if n.stop - n.start > 1]
    masked = text
    for one in named:
        cover = f"《{'x' * (one.stop - one.start - 2)}》"
        masked = masked[: one.start] + cover + masked[one.stop :]
    clauses = spans(masked)
    read = _Reading(masked, [False] * len(masked))
    for one in named:
        read.take(one.start, one.stop)
    liked, disliked = _opinions(text, named, clauses)
    if len(known.years):
        _years(read, clauses, next(iter(known.years)))
    for bound in bounds(masked, known):
        flipped = _sign(clauses, bound.start) < 0
        operator = _FLIPPED[bound.operator] if flipped else bound.operator
        read.require(bound.column, operator, bound.value)
        read.take(bound.start, bound.stop)
    asked = count(_left(read), lambda word: any(m.sure for m in known.mentions(word)))
    if asked is not None:
        read.take(asked[1], asked[2])
    _values(read, clauses, known)
    _phrases(read, clauses)
    kind = _domain(read)
    order = {id(c): place for place, c in enumerate(read.filters)}
    return Wish(
        domain=kind,
        likes=tuple(dict.fromkeys(read.likes)),
        dislikes=tuple(dict.fromkeys(p for p in read.dislikes if p not in read.likes)),
        liked_items=tuple(dict.fromkeys(liked)),
        disliked_items=tuple(dict.fromkeys(n for n in disliked if n not in liked)),
        filters=tuple(sorted(read.filters, key=lambda c: (_place(c), order[id(c)]))),
        count=None if asked is None else asked[0],
        language=language_of(text),
        confidence=_confidence(read, len(named)),
    )


def says_nothing(wish: Wish) -> bool:
    """Return whether a wish carries no taste, as 我喜欢看电影，推荐一些电影 does not."""
    return not (
        wish.likes or wish.dislikes or wish.liked_items or wish.disliked_items or wish.filters
    )


def _domain(read: _Reading) -> str | None:
    """Return the word for the kind of thing that is asked for, if there is one."""
    for kind in _KIND.finditer(read.text):
        said = read.text[: kind.start()]
        if not (
            any(read.taken[kind.start() : kind.end()])
            or _NO_KIND.fullmatch(kind[0])
            or re.search(r"(?:about|关于|有关|讲)\s*$", said)
        ):
            return kind[0].lower()
    return None


def _opinions(
    text: str, named: Sequence[Named], clauses: Sequence[tuple[int, int, int]]
) -> tuple[list[str], list[str]]:
    liked: list[str] = []
    disliked: list[str] = []
    for one in named:
        if _THAN.search(text[: one.start]):
            continue  # "less violent than …" likes and dislikes nothing of it
        (disliked if _sign(clauses, one.start) < 0 else liked).append(one.name)
    return liked, disliked


def _years(read: _Reading, clauses: Sequence[tuple[int, int, int]], column: str) -> None:
    found = mentions(read.text)
    wanted = [(era, a, b) for era, a, b in found if _sign(clauses, b - 1) >= 0]
    joined: list[Era] = []
    for era, _, _ in sorted(wanted, key=lambda each: each[0].first):
        if joined and era.first <= joined[-1].last + 1:
            joined[-1] = Era(joined[-1].first, max(joined[-1].last, era.last))
        else:
            joined.append(era)
    for era, start, stop in found:
        if _sign(clauses, stop - 1) >= 0:
            if len(joined) == 1:
                read.take(start, stop)
        elif _ruled_out(read, column, era):
            read.take(start, stop)
    if len(joined) == 1:  # "the fifties or the eighties" is no range: it is heard as words
        era = joined[0]
        if era.first > _NEVER:
            read.require(column, ">=", float(era.first))
        if era.last < _ALWAYS:
            read.require(column, "<=", float(era.last))


def _ruled_out(read: _Reading, column: str, era: Era) -> bool:
    if era.first <= _NEVER:
        read.require(column, ">=", float(era.last + 1))
    elif era.last >= _ALWAYS:
        read.require(column, "<=", float(era.first - 1))
    elif era.last - era.first < MOST_YEARS_OUT:
        for year in range(era.first, era.last + 1):
            read.require(column, "!=", float(year))
    else:
        return False
    return True


def _values(read: _Reading, clauses: Sequence[tuple[int, int, int]], known: Attributes) -> None:
    wanted: dict[str, list[Mention]] = {}
    behind = 0
    for start, stop, sign in clauses:
        cue = read.text[behind:start]
        behind = stop
        for first, last in _parts(read.text, start, stop, sign):
            for said in known.mentions(read.text[first:last]):
                mention = Mention(
                    said.column, said.value, first + said.start, first + said.stop, said.sure
                )
                if any(read.taken[mention.start : mention.stop]) or not mention.sure:
                    continue
                if sign > 0:
                    wanted.setdefault(mention.column, []).append(mention)
                elif not _DEGREE.search(cue) and not _more(read, first, last, mention):
                    read.require(mention.column, "has not", mention.value)
                    read.take(mention.start, mention.stop)
    for column, mentioned in wanted.items():
        gaps = [read.text[a.stop : b.start] for a, b in pairwise(mentioned)]
        if len({m.value for m in mentioned}) == 1 or all(_ADJACENT.fullmatch(g) for g in gaps):
            for mention in mentioned:
                read.require(column, "has", mention.value)
                read.take(mention.start, mention.stop)


def _parts(text: str, start: int, stop: int, sign: int) -> list[tuple[int, int]]:
    """Return a clause whole, or what is unwanted thing by thing: "horror or musicals"."""
    if sign > 0:
        return [(start, stop)]
    found, at = [], start
    for joint in _JOINT.finditer(text, start, stop):
        found.append((at, joint.start()))
        at = joint.end()
    return [(a, b) for a, b in [*found, (at, stop)] if b > a]


def _more(read: _Reading, first: int, last: int, mention: Mention) -> bool:
    """Whether the part of a clause says more than the value: "slow dramas"."""
    rest = read.text[first : mention.start] + " " + read.text[mention.stop : last]
    return bool(_core(re.sub(r"《x*》", " ", rest)))


def _phrases(read: _Reading, clauses: Sequence[tuple[int, int, int]]) -> None:
    for start, stop, sign in clauses:
        for first, last in _free(read.taken, start, stop):
            for a, b in _pieces(read.text, first, last, sign):
                phrase = _trimmed(read.text[a:b])
                if phrase and (_core(phrase) or _ABOUT.match(read.text, a)):
                    (read.likes if sign > 0 else read.dislikes).append(phrase)


def _pieces(text: str, start: int, stop: int, sign: int) -> list[tuple[int, int]]:
    """Return the parts of a stretch, cut at the kinds of things: "heartwarming | about a dog"."""
    found = []
    for first, last in _parts(text, start, stop, sign):
        at = first
        for cut in _CUT.finditer(text, first, last):
            found.append((at, cut.start()))
            at = cut.end()
        found.append((at, last))
    return [(a, b) for a, b in found if b > a]


def _free(taken: Sequence[bool], start: int, stop: int) -> list[tuple[int, int]]:
    """Return the stretches of a clause that nothing took."""
    found, at = [], start
    for place in range(start, stop + 1):
        if place == stop or taken[place]:
            if place > at:
                found.append((at, place))
            at = place + 1
    return found


def _trimmed(phrase: str) -> str:
    """Return a phrase without the small words at its ends and the kind of thing at its end."""
    text = _HEAD.sub("", phrase.strip())
    before = ""
    while text != before:
        before = text
        text = re.sub(
            rf"(?:\b(?:and|or|but|with|of|in|on|at|by|from|for|to|the|a|an|that|are|is|please|too|"
            rf"than|{KINDS_EN})|{KINDS_ZH}|[的了吗呢吧和有是看片]|题材|[\s,.;:!?，。；：！？、…·-])$",
            "",
            text,
            flags=re.IGNORECASE,
        )
    return text.strip()


def _core(phrase: str) -> str:
    """Return what a phrase says besides what anybody says who asks for anything."""
    rest = _FILLER_ZH.sub(" ", _FILLER_EN.sub(" ", phrase.replace("’", "'")))
    return " ".join(re.findall(r"[^\W_]+", rest))


def _left(read: _Reading) -> str:
    return "".join(" " if t else c for c, t in zip(read.text, read.taken, strict=True))


def _sign(clauses: Sequence[tuple[int, int, int]], place: int) -> int:
    """Return the sign of what stands somewhere; 0 where no clause does."""
    return next((sign for start, stop, sign in clauses if start <= place < stop), 0)


def _place(condition: Condition) -> int:
    return {"has": 0, "has not": 2}.get(condition.operator, 1)


def _confidence(read: _Reading, n_named: int) -> float:
    """Return the share of the request that became conditions and names; words count half."""
    content = sum(len(_core(part)) for part in (*read.likes, *read.dislikes))
    understood = sum(read.taken)
    if not content and not understood:
        return 0.5
    return round((understood + 0.5 * content) / (understood + content), 2)
