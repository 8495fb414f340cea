"""A wish or a review cut into clauses, and which of them are wanted; English and Chinese.

A sentence vector hardly knows "horror" from "no horror". So negation is read here, by rules, and
the encoder sees content alone. A text becomes tokens (a word, a Chinese character, a mark); phrases
from the tuples below are cues; what stands between cues is content, and its sign is the last
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

UNWANTED = (  # cover everything up to the next break
    "hate", "hates", "hated", "hating", "dislike", "dislikes", "disliked", "detest", "loathe",
    "despise", "avoid", "avoids", "avoiding", "exclude", "excluding", "skip", "except",
    "except for", "excepting", "apart from", "aside from", "other than", "anything but",
    "everything but", "all but", "anything except", "everything except", "less", "fewer", "no more",
    "no longer", "enough of", "had enough of", "tired of", "sick of", "fed up with", "bored of",
    "bored with", "allergic to", "instead of", "rather than", "save for", "steer clear of",
    "stay away from", "keep away from", "too much", "too many", "don't want no", "don't need no",
    "no thanks", "no thank you", "no way", "stop recommending", "stop showing", "not my thing",
    "not for me", "not so much", "isn't for me", "isn't my thing", "not my cup of tea", "excluded",
    "need not apply", "seen enough", "heard enough", "read enough", "used to love", "used to like",
    "used to enjoy", "i used to love", "i used to like",
    "不要", "不想", "不想要", "不必", "不用", "不需要", "不希望", "不喜欢", "不爱", "不考虑",
    "不能有", "不能是", "别", "别给我", "勿", "请勿", "拒绝", "讨厌", "厌恶", "反感", "痛恨",
    "受不了", "受够了", "看腻了", "听腻了", "腻了", "厌倦", "避免", "避开", "排除", "除了", "少点",
    "少一点", "少一些", "少些", "少来", "远离", "免谈", "就算了", "算了", "除外", "不行", "千万别",
    "并非", "谢绝", "我怕", "害怕", "不感兴趣", "没兴趣", "没有兴趣", "无感", "不想再看",
    "不想再听", "不想再",
)  # fmt: skip
SPARING = ("不要", "不想要", "不需要", "别给我", "别")
"""Unwanted, and end at 的: 不要爱情的喜剧 asks for a comedy."""

NOT = (  # auxiliaries: a verb of wanting may follow
    "not", "never", "neither", "nor", "cannot", "can't", "cant", "don't", "dont", "do not",
    "doesn't", "doesnt", "does not", "didn't", "didnt", "isn't", "isnt", "is not", "aren't",
    "arent", "are not", "wasn't", "wasnt", "weren't", "won't", "wouldn't", "would not", "shouldn't",
    "should not", "couldn't", "could not", "haven't", "hasn't", "hadn't", "ain't", "not too",
    "not too much", "not too many", "not very", "not so", "not overly", "not really", "not that",
    "hardly", "barely",
    "不", "不是", "不太", "不那么", "不怎么", "不够", "不是很", "从不", "绝不", "不会", "没",
    "没那么",
)  # fmt: skip
LACKING = (  # inside something unwanted, they turn the sign back
    "no", "nothing", "none of", "without", "without any", "with no", "without too much", "w/o",
    "minus", "sans", "lacking", "lacks", "devoid of", "free of", "free from",
    "没有", "没什么", "不带", "不含", "不包含", "不涉及", "毫无", "缺乏", "缺少",
)  # fmt: skip
WANTED = (
    "i like", "i love", "i want", "i'd like", "i'd love", "i would like", "i would love", "i enjoy",
    "i need", "i prefer", "i'd prefer", "i would prefer", "i adore", "i liked", "i loved",
    "i enjoyed", "i feel like", "i fancy", "i'm after", "i'm looking for", "i am looking for",
    "i'm searching for", "i'm into", "i am into", "i'm in the mood for", "i am in the mood for",
    "i'm interested in", "i am interested in", "i'm a fan of", "i am a fan of", "i'm keen on",
    "i'm fond of", "we like", "we love", "we want", "we'd like", "we'd love", "we would like",
    "we enjoy", "we need", "we prefer", "we're looking for", "she likes", "he likes", "they like",
    "she loves", "he loves", "they love", "she wants", "he wants", "they want", "would like",
    "would love", "looking for", "searching for", "in the mood for", "interested in", "big fan of",
    "a fan of", "can't get enough of", "cannot get enough of", "never get enough of",
    "can't wait for", "can't wait to see", "can't wait to read", "can't go wrong with",
    "never tire of", "never tired of", "not only", "not just", "not merely", "not simply",
    "nothing but", "wouldn't mind", "would not mind", "nothing beats", "nothing like",
    "i listen to", "i only listen to", "i watch", "i read", "like:", "likes:", "loves:", "wants:",
    "喜欢", "我喜欢", "喜爱", "最爱", "超爱", "热爱", "爱看", "爱听", "爱读", "我爱", "想看",
    "想听", "想读", "想买", "想要", "想找", "想玩", "我想", "我要", "我需要", "希望", "偏好",
    "钟爱", "偏爱", "最好是", "来点", "来些", "来一些", "来一部", "来一本", "多点", "多一点",
    "多一些", "多些", "更多", "不只", "不只是", "不仅", "不仅是", "不仅仅是", "不单是", "不光是",
    "不止", "不止是", "迷上了", "感兴趣", "百看不厌", "看不够", "听不够", "忍不住想看", "少不了",
    "离不开", "不能没有", "只要", "只想看", "只看", "只听", "买点", "想看点", "想听点", "想买个",
    "想找点", "来个",
)  # fmt: skip
TOLERATED = (
    "don't mind", "dont mind", "do not mind", "doesn't mind", "not mind", "don't care about",
    "do not care about", "don't care if", "don't care whether", "don't care how", "ok with",
    "okay with", "fine with", "no problem with", "no matter", "regardless of", "not sure",
    "don't know", "dont know", "do not know", "not sure about", "doesn't have to", "don't have to",
    "does not have to", "doesn't need to be", "need not be", "haven't seen", "haven't read",
    "haven't heard", "have not seen",
    "不介意", "不在乎", "不在意", "不反对", "不排斥", "不怕", "无所谓", "没关系", "不管", "不论",
    "无论", "不知道", "不确定", "可以接受", "不清楚", "不一定要", "不一定",
)  # fmt: skip
CONTENT = (  # words that hold a cue and are none
    "not bad", "not to mention", "why not", "whether or not", "or not", "no doubt", "no problem",
    "no problems", "no wonder", "no nonsense", "no-nonsense", "no one", "no complaints",
    "can't complain", "can't beat", "never mind", "never fails", "never ceases", "never gets old",
    "couldn't be happier", "couldn't be better", "could not be happier", "couldn't ask for more",
    "can't go wrong", "less than", "more or less", "no less", "no more than", "not more than",
    "no less than", "no fewer than",
    "不错", "不敢", "不同", "不断", "不少", "不久", "不朽", "不可思议", "不一样", "不得了",
    "不得不", "不由得", "不愧", "不凡", "不俗", "不妨", "不惜", "不知不觉", "不可或缺", "不能错过",
    "不容错过", "不可多得", "不解之缘", "不屈", "不幸", "不动产", "不锈钢", "不倒翁", "不二",
    "不夜城", "不停", "不再", "不如", "忍不住", "对不起", "了不起", "差不多", "说不定", "舍不得",
    "来不及", "是不是", "要不要", "好不好", "会不会", "可不可以", "要不", "没错", "没问题",
    "没想到", "没事", "没完没了", "分别", "别致", "别墅", "别人", "个别", "级别", "区别", "类别",
    "性别", "告别", "别具一格", "别具匠心", "别有", "离别", "识别", "辨别", "别样", "别开生面",
    "少不更事", "不了情", "太空", "太阳", "太极", "太平", "太子", "太太", "都市", "都城", "和平",
    "和谐", "和声", "和弦", "可爱", "可怕", "可靠", "可乐", "想象", "想法", "要塞", "要素", "要命",
    "有趣", "有声", "有机", "有意思", "有深度", "还珠", "还原", "看门", "更衣", "是非", "就业",
    "找回", "找茬", "我们俩", "了解", "但丁", "很多", "超级英雄", "超级市场", "再见",
)  # fmt: skip
REQUESTS = (  # no content, at the beginning of a clause and after a cue
    "please", "pls", "me some", "us some", "me a few", "us a few", "only", "recommend",
    "recommend me", "recommend us", "recommend some", "recommend me some", "suggest", "suggest me",
    "suggest me some", "suggest some", "give me", "give me some", "show me", "show me some",
    "find me", "find me some", "get me some", "bring me", "can you", "could you", "would you",
    "can i get", "can i have", "do you have", "have you got", "is there", "are there", "i would",
    "i do", "i", "i'd", "i'd rather", "we'd rather", "i'm", "i am", "we", "we are", "want", "need",
    "want to watch", "want to read", "want to hear", "to watch", "to see", "to read", "to hear",
    "to listen to", "to play", "to buy", "watching", "reading", "listening to", "hi", "hello",
    "hey", "dear", "thanks", "thank you", "something", "anything", "anything with", "stuff",
    "something with", "something that is", "something that's", "some", "any", "more", "a few",
    "a lot of", "lots of", "maybe", "perhaps", "really", "just", "also", "and", "or", "then", "so",
    "well", "but", "yet", "still", "but also", "and also", "even", "although", "though", "however",
    "as long as it is", "as long as it's", "it should be", "should be", "it is", "it's", "they are",
    "they're", "there is", "there are", "there should be", "with", "to be", "what should i watch",
    "what should i read", "what should i buy", "what can you recommend", "something else",
    "anything else", "now",
    "我", "我们", "请", "麻烦", "请问", "请推荐", "推荐", "推荐一下", "推荐点", "推荐一些",
    "推荐一部", "推荐几部", "推荐几本", "推荐一本", "推荐几首", "推荐我", "给我", "给我推荐",
    "给点", "帮我", "帮我找", "帮忙", "找", "找一些", "找一部", "找几部", "有没有", "有什么",
    "能不能", "可以", "能否", "一些", "一点", "一部", "一本", "一首", "一款", "一个", "几部",
    "几本", "几首", "几款", "几个", "任何", "什么", "什么样的", "类似", "你好", "您好", "谢谢",
    "你们", "看", "看看", "有", "是", "要", "想", "也", "还", "还有", "和", "而且", "以及", "并且",
    "都", "就", "最好", "太", "很", "那种", "那些", "这种", "这些", "的", "了", "非常", "特别",
    "比较", "更", "平时", "平常", "一直", "最近", "今天", "今晚", "现在", "对", "有点", "超级",
    "超", "尤其", "买个", "看点", "看部", "看个", "来部", "来本", "来首", "听点", "找点", "找个",
    "找部", "找本", "找首", "给我找", "给我找点", "读点", "没看过的", "没听过的", "没读过的", "再",
)  # fmt: skip
VERBS = (  # after an auxiliary: "don't | want to see", 不 | 想看
    "like", "love", "liked", "loved", "enjoyed", "cared for", "want", "want to", "enjoy", "need",
    "need to", "care for", "really like", "a fan of", "a big fan of", "fans of", "fan of", "into",
    "interested in", "keen on", "fond of", "in the mood for", "looking for", "recommend", "suggest",
    "show me", "give me", "stand", "bear", "watch", "see", "read", "listen to", "buy", "have",
    "has", "include", "contain", "be", "ever", "want any", "like to", "feel like", "tolerate",
    "喜欢", "喜欢看", "喜欢听", "想", "想看", "想听", "想要", "想买", "爱看", "要", "看", "听",
    "买", "推荐", "给我推荐", "再推荐", "再", "希望", "需要", "给我", "感兴趣", "爱", "考虑", "对",
)  # fmt: skip
CONTRASTS = (
    "but", "however", "although", "whereas",
    "但", "但是", "可是", "然而", "不过", "而是", "只是", "反而",
)  # fmt: skip
CLOSERS = (  # end what 除了 covers
    "is fine", "are fine", "is ok", "are ok", "is okay", "will do", "anything goes",
    "以外", "之外", "都可以", "都行", "都好", "都看", "都听", "都喜欢", "其他的", "其它的", "其他",
    "其它", "就行", "就好", "就可以",
)  # fmt: skip
BEYOND = ("还", "也", "还有")  # 除了…还 means "and besides", not "except"
ADVERBS = frozenset((
    "really", "just", "also", "always", "absolutely", "usually", "mostly", "still", "particularly",
    "especially", "generally", "truly", "quite", "actually", "do", "very", "much", "even", "simply",
))  # fmt: skip
ABBREVIATED = frozenset(("mr", "mrs", "ms", "dr", "st", "vs", "no", "e.g", "i.e", "g", "jr", "vol"))
BEFORE_CUE = frozenset((
    "that", "which", "who", "is", "are", "was", "were", "be", "with", "and", "or", "the", "a", "an",
    "to", "of", "i", "we", "it", "they", "there", "but", "do", "does", "should", "must", "would",
    "can", "will", "has", "have", "i'm", "i've", "preferably", "'", "as", "if", "so", "am",
    "和", "是", "有", "我", "也", "又", "而", "且", "要", "但", "对", "都", "就", "很", "太", "更",
))  # fmt: skip
PRONOUNS = frozenset(("it", "them", "this", "that", "these", "those", "one", "它", "这", "那"))
LAST = frozenset((
    "please", "pls", "thanks", "thank", "you", "and", "or", "though", "too", "either",
    "的", "了", "吧", "啊", "呢", "吗", "呀", "哦", "啦", "嘛", "喔", "哈", "谢", "等", "等等",
))  # fmt: skip

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
            if at and self.words[at - 1].text in ABBREVIATED:
                return False
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
        inside = not fresh and self.sign < 0
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
