"""What people ask for in their own words, matched with the items: "quiet space films, no horror".

A wish is cut into clauses that are wanted or unwanted, and every clause is heard in four ways:

- **meaning**: its vector against those of the items' texts;
- **topics**: a ridge regression, taught by the items' texts and by the names of the categories,
  says which values of a column such as genres it speaks of, in any language of the encoder;
- **names**: a category that stands in it letter for letter, such as a director's name;
- **eras**: years, where a column of numbers holds years.

A vector is centred on what people say in its language every day: without that, a wish in Chinese
is drawn to whatever the encoder takes for Chinese. The sum over the clauses, the unwanted ones
taken off, is how well each item answers the wish. It says where on the catalogue this user is; how
much their taste still counts beside it is learned in training (`trust`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.linalg as la
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.types import FloatArray, IntArray
from warmstart.data import FeatureSpace
from warmstart.data.cells import numbers
from warmstart.data.content import Content
from warmstart.encoders import Encoder, VectorCache, encode
from warmstart.encoders.clauses import clauses
from warmstart.encoders.eras import Era, eras, without_eras
from warmstart.encoders.glossary import also_called

_EVERYDAY = (
    ("I am looking for something new", "我想找点新东西"),
    ("a quiet evening at home", "在家安静的一个晚上"),
    ("people who work in an office", "在办公室上班的人"),
    ("the weather is nice today", "今天天气很好"),
    ("how to cook dinner", "怎么做晚饭"),
    ("a long journey by train", "坐火车的长途旅行"),
    ("he does not know what to do", "他不知道该怎么办"),
    ("she bought a new phone", "她买了一部新手机"),
    ("music from another country", "来自另一个国家的音乐"),
    ("the best choice for beginners", "最适合新手的选择"),
    ("children play in the garden", "孩子们在花园里玩"),
    ("they meet again after many years", "多年以后他们再次相遇"),
    ("a cheap and reliable tool", "便宜又可靠的工具"),
    ("news about the economy", "关于经济的新闻"),
    ("a strange thing happened", "发生了一件奇怪的事"),
    ("the team won the game", "球队赢了比赛"),
    ("a doctor and a patient", "医生和病人"),
    ("something my mother would like", "我妈妈会喜欢的东西"),
    ("a small town near the sea", "海边的一个小镇"),
    ("red shoes for the summer", "夏天穿的红鞋子"),
    ("animals in the forest", "森林里的动物"),
    ("an old man tells a story", "一位老人讲故事"),
    ("good food and good friends", "好吃的和好朋友"),
    ("money and power", "金钱与权力"),
)
"""What anybody may say, in English and in Chinese: the mean of a language."""

TOPIC = 4.0
"""What a category that is surely asked for adds to an item that has it alone."""

_KINDS_OF_THINGS = frozenset(
    "a an the some good new film films movie movies picture pictures show shows series video "
    "videos book books novel novels song songs music track tracks album albums game games product "
    "products thing things item items article articles story stories one ones something anything "
    "电影 影片 片子 片 视频 剧 电视剧 节目 书 书籍 图书 小说 歌 歌曲 音乐 专辑 "
    "游戏 商品 产品 东西 文章 故事 好电影 新电影 好片 好书 新书 好歌 好东西 "
    "好看的电影 好看的书 好听的歌".split()
)
"""What a clause may hold without saying anything: "some films", 电影."""

_MEANING, _NAME, _ERA = 1.0, 6.0, 8.0
_UNWANTED_MEANING = 0.3  # against 1 for what is wanted: "not violent" says little about the rest
_LEAST_TOPIC, _SURE_TOPIC = 0.1, 0.5
MOST_TOPICS = 100
"""Values of a column that are heard by meaning; of a column with more, only names are heard."""

_RIDGE = 3.0
_TAUGHT_BY_NAMES = 1 / 3  # of the items' weight in the regression
_CHINESE = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood of a wish, and what it says about the items.

    Attributes:
        scores: (items,) how well each item answers it.
        wanted: the clauses that ask for something.
        unwanted: those that rule something out.
        values: (column, value) of the categories that are surely asked for.
        eras: the years asked for.
    """

    scores: FloatArray
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    values: tuple[tuple[str, str], ...]
    eras: tuple[Era, ...]


@dataclass(frozen=True)
class Words:
    """Hears wishes about one catalogue.

    Attributes:
        encoder: of texts.
        content: of the items: the texts that this encoder encoded, and categories.
        space: what the categories are called.
        columns: names of the blocks of text.
        years: column → (items,) years, NaN where unknown.
    """

    encoder: Encoder
    content: Content
    space: FeatureSpace | None
    columns: Sequence[str]
    years: Mapping[str, npt.NDArray[np.float64]]

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        columns: Sequence[str],
        content: Content,
        space: FeatureSpace | None,
        table: pa.Table | None,
    ) -> Words:
        """Listen for wishes about a catalogue.

        Args:
            encoder: of texts.
            columns: names of the blocks that it encoded.
            content: of the items.
            space: encoding of the item columns, whose blocks are among the content.
            table: row i is item i.
        """
        years: dict[str, npt.NDArray[np.float64]] = {}
        for block in () if space is None else space.blocks:
            if block.kind == "number" and table is not None and block.column in table.column_names:
                found = numbers(table[block.column])
                said = found[np.isfinite(found)]
                if len(said) and ((said >= 1000) & (said <= 2100) & (said % 1 == 0)).mean() > 0.95:
                    years[block.column] = found
        return cls(encoder, content, space, [c for c in columns if c in content], years)

    def hear(self, text: str) -> Heard:
        """Return what a wish says about the items.

        Args:
            text: a sentence or a few.

        Raises:
            DataError: it says nothing, or cannot be encoded.
        """
        if not isinstance(text, str):
            raise DataError(f"text is what the user says, got {text!r}; give a string")
        said = clauses(text)
        if not said:
            raise DataError(f"the text {text[:40]!r} says nothing; leave it out, or say a wish")
        return self.heard(
            [c.text for c in said if c.sign > 0], [c.text for c in said if c.sign < 0]
        )

    def heard(self, wanted: Sequence[str], unwanted: Sequence[str]) -> Heard:
        """Return what a wish says that has been cut into clauses already.

        Args:
            wanted: the clauses that ask for something.
            unwanted: those that rule something out.

        Raises:
            DataError: one of them cannot be encoded.
        """
        scores = np.zeros(len(self), np.float32)
        spoken: list[tuple[str, str]] = []
        times = [era for clause in wanted for era in eras(clause)]
        if times:
            scores += _ERA * self._within(times)
        for sign, said in ((1, wanted), (-1, unwanted)):
            part = [rest for clause in said if _says_more(rest := without_eras(clause))]
            if not part:
                continue
            vectors = self._vectors(part)
            meaning = _MEANING if sign > 0 else _UNWANTED_MEANING
            scores += sign * meaning * self._meant(vectors)
            for column, asked in self._asked(part, vectors).items():
                names, values = self._names[column], self.content[column].values
                if sign > 0:
                    scores += answered(values, asked[None])[0]
                    sure = [int(i) for i in np.argsort(-asked) if asked[i] >= TOPIC / 2]
                    spoken += [(column, names[i]) for i in sure]
                else:
                    scores -= values @ asked
        return Heard(scores, tuple(wanted), tuple(unwanted), tuple(spoken), tuple(times))

    def near(self, text: str, column: str) -> FloatArray:
        """Return (items,) cosines of a text with one block of texts; 0 where an item has none.

        Args:
            text: a few words, in any language of the encoder.
            column: name of a block that this encoder encoded.

        Raises:
            DataError: the text cannot be encoded.
        """
        query = self._vectors([text])[0]
        query = query / max(float(np.linalg.norm(query)), 1e-9)
        block = self.content[column]
        values = block.dense()
        values = values - values[block.known].mean(axis=0) if block.known.any() else values
        norms = np.maximum(np.linalg.norm(values, axis=1), 1e-9)
        return np.asarray(np.where(block.known, (values @ query) / norms, 0), np.float32)

    def reasons(
        self, heard: Heard, items: IntArray, others: Sequence[str] | None = None
    ) -> list[str]:
        """Return one line for each item that says which of the wish it answers.

        Args:
            heard: the wish.
            items: (items,) indices.
            others: the reasons that the user's history gives; they follow.
        """
        if others is not None and not heard.scores.any():
            return list(others)  # a wish for nothing in particular
        lines = []
        for place, item in enumerate(items):
            answers = [
                value
                for column, value in heard.values
                if self.content[column].values[[item], self._names[column].index(value)].sum() > 0
            ]
            for years in self.years.values():
                fits = any(e.first <= years[item] <= e.last for e in heard.eras)
                answers += [f"{years[item]:.0f}"] if fits else []
            line = f"{', '.join(dict.fromkeys(answers))}, as you asked" if answers else ""
            if not line and heard.scores[item] > 0 and heard.wanted:
                line = f"close to “{heard.wanted[0]}”"
            if others is not None:
                line = "; ".join(part for part in (line, others[place]) if part)
            lines.append(line or "nothing in the catalogue is closer to your words")
        return lines

    def __len__(self) -> int:
        return len(next(iter(self.content.values())).known)

    def _vectors(self, texts: Sequence[str]) -> FloatArray:
        """Return (texts, dim) vectors, each centred on its language."""
        found = encode(self.encoder, texts)
        if found.faults:
            raise DataError(f"the text cannot be encoded: {found.faults[0].why}")
        return found.vectors - self._centre[[int(_is_chinese(text)) for text in texts]]

    def _meant(self, vectors: FloatArray) -> FloatArray:
        """Return (items,) mean cosine with the texts, in standard deviations over the items."""
        out = np.zeros(len(self), np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        query = (vectors / np.maximum(lengths, 1e-9)).mean(axis=0)
        for column in self.columns:
            block, (mean, norms) = self.content[column], self._norms[column]
            cosine = (block.dense() @ query - mean @ query)[block.known] / norms[block.known]
            spread = float(cosine.std()) if len(cosine) else 0.0
            if spread > 0:
                out[block.known] += (cosine - cosine.mean()) / spread
        return out / np.float32(np.sqrt(max(len(self.columns), 1)))

    def _asked(self, texts: Sequence[str], vectors: FloatArray) -> dict[str, FloatArray]:
        """Return how much each value of each column of categories is asked for."""
        found = {}
        for column, names in self._names.items():
            asked = np.zeros(len(names), np.float32)
            if column in self._topics:
                likely = (vectors @ self._topics[column]).max(axis=0) - _LEAST_TOPIC
                likely = np.maximum(likely, 0)
                asked += TOPIC * likely / max(float(likely.max(initial=0)), _SURE_TOPIC)
            spoken = [_plain(text) for text in texts]
            at = [
                i
                for i, called in enumerate(self._called[column])
                if any(_named(name, text) for name in called for text in spoken)
            ]
            asked[at] = _NAME
            if asked.any():
                found[column] = asked
        return found

    def _within(self, times: Sequence[Era]) -> FloatArray:
        """Return (items,) 1 where an item is of one of the eras."""
        out = np.zeros(len(self), bool)
        for years in self.years.values():
            for era in times:
                out |= (years >= era.first) & (years <= era.last)
        return out.astype(np.float32)

    @cached_property
    def _centre(self) -> FloatArray:
        """(2, dim) the mean of everyday English and Chinese."""
        cache = VectorCache()
        found = [
            encode(self.encoder, said, cache=cache).vectors for said in zip(*_EVERYDAY, strict=True)
        ]
        return np.stack([v.mean(axis=0) for v in found])

    @cached_property
    def _norms(self) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Mean of each block of text, and (items,) distances from it."""
        found = {}
        for column in self.columns:
            block = self.content[column]
            values = block.dense()
            mean = values[block.known].mean(axis=0) if block.known.any() else values[:0].sum(axis=0)
            squares = np.einsum("ij,ij->i", values, values) - 2 * values @ mean + mean @ mean
            found[column] = mean, np.sqrt(np.maximum(squares, 1e-9))
        return found

    @cached_property
    def _names(self) -> dict[str, tuple[str, ...]]:
        """Column → names of its categories."""
        blocks = () if self.space is None else self.space.blocks
        return {
            b.column: b.values for b in blocks if b.kind != "number" and b.column in self.content
        }

    @cached_property
    def _called(self) -> dict[str, list[tuple[str, ...]]]:
        """Column → all that each of its categories is called."""
        return {
            column: [(_plain(name), *also_called(name)) for name in names]
            for column, names in self._names.items()
        }

    @cached_property
    def _topics(self) -> dict[str, FloatArray]:
        """Column → (dim, values) map from a centred text to how likely it speaks of each value."""
        cache, out = VectorCache(), {}
        rows = [self.content[c] for c in self.columns]
        for column, names in self._names.items():
            if not 1 < len(names) <= MOST_TOPICS:
                continue
            called = [(name, *also_called(name)) for name in names]
            whose = np.repeat(np.arange(len(names)), [len(c) for c in called])
            flat = [name for c in called for name in c]
            named = encode(self.encoder, flat, cache=cache).vectors
            named = named - self._centre[[int(_is_chinese(n)) for n in flat]]
            labels = self.content[column]
            x, y = [named], [np.eye(len(names), dtype=np.float32)[whose]]
            for block in rows:
                both = block.known & labels.known
                x.append(block.dense()[both])
                y.append(labels.take(both).dense())
            n_rows = sum(len(part) for part in x[1:])
            each = max(1.0, _TAUGHT_BY_NAMES * n_rows / len(names))
            weight = np.concatenate([each / np.bincount(whose)[whose], np.ones(n_rows)])
            out[column] = _regression(np.concatenate(x), np.concatenate(y), weight)
        return out


def answered(values: sp.csr_array, asked: FloatArray) -> FloatArray:
    """Return (wishes, items) how well the items answer to the categories asked for.

    One genre of five is less that genre than the only one.

    Args:
        values: (items, values) which categories each item has.
        asked: (wishes, values) how much each is asked for.
    """
    counts = np.maximum(np.asarray(values.sum(axis=1), np.float32).ravel(), 1)
    found: FloatArray = (values @ asked.T).T / np.sqrt(counts)
    return found


def asked_for(values: sp.csr_array, wanted: FloatArray) -> FloatArray:
    """Return (wishes, items) how well the items answer to categories that are surely wanted.

    Args:
        values: (items, values) which categories each item has.
        wanted: (wishes, values) ones for what is wanted.
    """
    return answered(values, TOPIC * wanted)


def _regression(x: FloatArray, y: FloatArray, weight: npt.NDArray[np.float64]) -> FloatArray:
    """Return the (dim, values) slopes of a weighed ridge regression around the means."""
    share = (weight / weight.sum()).astype(np.float32)
    x, y = x - share @ x, y - share @ y
    heavy = x * weight[:, None].astype(np.float32)
    gram = heavy.T @ x
    gram[np.diag_indices(len(gram))] += _RIDGE
    slopes: FloatArray = la.solve(gram, heavy.T @ y, assume_a="pos", check_finite=False)
    return slopes


def _says_more(text: str) -> bool:
    """Whether a text says more than what kind of thing the catalogue holds."""
    words = _plain(text).split()
    return not all(word in _KINDS_OF_THINGS for word in words)


def _is_chinese(text: str) -> bool:
    letters = sum(c.isalpha() for c in text)
    return 2 * len(_CHINESE.findall(text)) > letters


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _named(name: str, text: str) -> bool:
    """Whether a name stands in a text as a word of its own."""
    if len(name) < (2 if _CHINESE.search(name) else 4):
        return False
    if _CHINESE.search(name):
        return name in text
    return f" {name} " in f" {text} "
