"""What is wanted and what is not: cases by hand, and promises for any text."""

import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.encoders import clauses as module
from warmstart.encoders.clauses import Clause, clauses, spans

# what a reader would say; a leading minus marks what is unwanted
CASES = [
    ("slow, thoughtful space films, nothing violent", ["slow, thoughtful space films", "-violent"]),
    ("I like comedies but not romances", ["comedies", "-romances"]),
    ("no horror please", ["-horror"]),
    ("anything but westerns", ["-westerns"]),
    ("EVERYTHING EXCEPT HORROR", ["-HORROR"]),
    ("other than horror, anything goes", ["-horror"]),
    ("I hate musicals, I'd love a good thriller", ["-musicals", "a good thriller"]),
    ("without violence", ["-violence"]),
    ("films without violence", ["films", "-violence"]),
    ("a comedy with no romance", ["a comedy", "-romance"]),
    ("films that are not scary", ["films", "-scary"]),
    ("not only comedies", ["comedies"]),
    ("not just rock, also jazz", ["rock", "jazz"]),
    ("nothing but comedies", ["comedies"]),
    ("can't get enough of noir", ["noir"]),
    ("I've had enough of sequels; something fresh, please!", ["-sequels", "fresh"]),
    ("I don't mind violence", ["I don't mind violence"]),
    ("I don't mind violence but no gore", ["-gore"]),
    ("less gore, more mystery", ["-gore", "mystery"]),
    ("I don't hate musicals", ["musicals"]),
    ("not without humour", ["humour"]),
    ("I hate films without jokes", ["-films", "jokes"]),
    ("I don't want no drama", ["-drama"]),
    ("no horror, gore or violence", ["-horror, gore or violence"]),
    ("no horror, a good thriller", ["-horror", "a good thriller"]),
    ("no horror. comedies!", ["-horror", "comedies"]),
    ("Horror? No thanks.", ["-Horror"]),
    ("romances excluded", ["-romances"]),
    ("I want to watch a comedy. Not a romance.", ["a comedy", "-a romance"]),
    ("I'm not into country music", ["-country music"]),
    ("not interested in war films", ["-war films"]),
    ("never liked opera", ["-opera"]),
    ("neither slow nor sad", ["-slow", "-sad"]),
    ("I'd rather not see horror", ["-horror"]),
    ("not too much violence", ["-violence"]),
    ("not funny but sad", ["-funny", "sad"]),
    ("Please recommend me some films", ["films"]),
    ("something like Alien but funnier", ["like Alien", "funnier"]),
    ("I would not recommend horror", ["-horror"]),
    ("Not bad at all", ["Not bad at all"]),
    ('I like "No Country for Old Men"', ['"No Country for Old Men"']),
    ("Mr. Robot and Dr. Who", ["Mr. Robot and Dr. Who"]),
    ("Get Out", ["Get Out"]),
    ("Chanel No. 5", ["Chanel No. 5"]),
    ("a red dress, size 4.5, not polyester", ["a red dress, size 4.5", "-polyester"]),
    ("headphones - no wires", ["headphones", "-wires"]),
    ("We'd like a quiet laptop without a fan", ["a quiet laptop", "-a fan"]),
    ("I’m tired of superheroes", ["-superheroes"]),
    ("dont want zombies", ["-zombies"]),
    ("a book that isn't too long", ["a book", "-too long"]),
    ("I want a guitar, but not an acoustic one", ["a guitar", "-an acoustic one"]),
    ("books about cats & dogs (no horses)", ["books about cats & dogs", "-horses"]),
    ("I don't like horror and I love comedy", ["-horror", "comedy"]),
    ("a jazz record, preferably not live", ["a jazz record", "-live"]),
    ("allergic to nuts, looking for a chocolate cake", ["-nuts", "a chocolate cake"]),
    ("shoes that don't hurt", ["shoes", "-hurt"]),
    (
        "I've seen enough superhero movies, give me something different",
        ["-superhero movies", "different"],
    ),
    ("no more than 20 dollars", ["no more than 20 dollars"]),
    ("It doesn't have to be new, I want it cheap", ["it cheap"]),
    ("What should I watch if I liked Inception?", ["Inception"]),
    ("an old film I haven't seen", ["an old film"]),
    ("没看过的老电影", ["老电影"]),
    ("不想再看战争片了", ["-战争片"]),
    ("不是恐怖片就行", ["-恐怖片"]),
    ("除了漫威以外的超级英雄电影", ["-漫威", "超级英雄电影"]),
    ("来部不无聊的纪录片", ["-无聊", "纪录片"]),
    ("我对历史很感兴趣，对战争没兴趣", ["历史", "-战争"]),
    ("只要科幻", ["科幻"]),
    ("Something my grandmother would not hate", ["my grandmother"]),
    ("dislike: horror, war. like: comedy", ["-horror, war", "comedy"]),
    ("不要：恐怖片，战争片；想看：喜剧", ["-恐怖片，战争片", "喜剧"]),
    ("Je voudrais un film", ["Je voudrais un film"]),
    ("no", ["no"]),
    ("please", ["please"]),
    ("😀😀", ["😀😀"]),
    ("我喜欢看电影，推荐一些电影。", ["电影", "电影"]),
    ("推荐一些电影", ["电影"]),
    ("不要恐怖片", ["-恐怖片"]),
    ("想看太空科幻，不要暴力", ["太空科幻", "-暴力"]),
    ("除了爱情片以外都可以", ["-爱情片"]),
    ("除了恐怖片都行", ["-恐怖片"]),
    ("除了爱情片，我还喜欢喜剧", ["爱情片", "喜剧"]),
    ("爱情片除外，什么都行", ["-爱情片"]),
    ("我讨厌歌舞片", ["-歌舞片"]),
    ("不讨厌歌舞片", ["歌舞片"]),
    ("不是不喜欢动画", ["动画"]),
    ("别推荐战争片", ["-战争片"]),
    ("不想看动画", ["-动画"]),
    ("没有血腥的悬疑片", ["-血腥", "悬疑片"]),
    ("请推荐几部不血腥的电影", ["-血腥", "电影"]),
    ("晚上不敢睡觉的电影", ["晚上不敢睡觉的电影"]),
    ("不要血腥的电影", ["-血腥", "电影"]),
    ("讨厌没有剧情的电影", ["剧情", "-电影"]),
    ("不要恐怖片、战争片", ["-恐怖片、战争片"]),
    ("非常喜欢喜剧", ["喜剧"]),
    ("特别喜欢爵士乐", ["爵士乐"]),
    ("不错的喜剧片", ["不错的喜剧片"]),
    ("不只是喜剧", ["喜剧"]),
    ("无聊的不要", ["-无聊"]),
    ("战争片？不要。", ["-战争片"]),
    ("有没有好看的科幻片？", ["好看的科幻片"]),
    ("我想看《无间道》这样的电影，但是不要太血腥", ["《无间道》这样的电影", "-血腥"]),
    ("不介意暴力，想看警匪片", ["警匪片"]),
    ("恐怖片就算了，来点喜剧吧", ["-恐怖片", "喜剧"]),
    ("想买一把吉他，不要太贵", ["一把吉他", "-贵"]),
    ("這部我討厭，不要恐怖片", ["-這部", "-恐怖片"]),
    ("ＮＯ　ｈｏｒｒｏｒ，想看comedy", ["-ｈｏｒｒｏｒ", "comedy"]),
    ("想看comedy，no horror please", ["comedy", "-horror"]),
    ("音质不好，但是外观不错", ["音质", "-好", "外观不错"]),
    ("对爱情片不感兴趣", ["-爱情片"]),
    ("我不太喜欢慢节奏的电影", ["-慢节奏的电影"]),
    ("少点打斗，多点推理", ["-打斗", "推理"]),
    ("不能没有音乐", ["音乐"]),
    ("百看不厌的经典", ["经典"]),
    ("太阳能台灯，不要塑料的", ["太阳能台灯", "-塑料"]),
    ("想听没有人声的钢琴曲", ["-人声", "钢琴曲"]),
    ("别致的项链", ["别致的项链"]),
    ("没那么吵的耳机", ["-吵", "耳机"]),
    ("你好", ["你好"]),
]

CUES = [
    *module.UNWANTED, *module.NOT, *module.LACKING, *module.WANTED, *module.TOLERATED,
    *module.CONTENT, *module.PRONOUNS, *module.REQUESTS, *module.CONTRASTS, *module.CLOSERS,
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_a_reader_would_cut_it_so(text, expected):
    wanted = [Clause(e[1:], -1) if e.startswith("-") else Clause(e, 1) for e in expected]
    assert clauses(text) == wanted


@pytest.mark.parametrize("text", ["", " \n\t", "!!! ... ???", "。，！？、", "《》", "\u200b", "—"])
def test_nothing_written_gives_nothing(text):
    assert clauses(text) == []


@given(
    st.lists(st.one_of(st.text(max_size=8), st.sampled_from([*CUES, ",", "，", ".", "。", " "]))),
    st.sampled_from(["", " "]),
)
@settings(max_examples=400, deadline=None)
def test_any_text_is_cut_into_pieces_of_itself(parts, between):
    text = between.join(parts)
    found = spans(text)
    assert [Clause(text[a:b], sign) for a, b, sign in found] == clauses(text)
    behind = 0
    for start, stop, sign in found:
        assert behind <= start < stop <= len(text)
        assert sign in (1, -1)
        behind = stop
    if any(c.isalnum() for c in text):
        assert found


@pytest.mark.parametrize(
    "unit",
    [
        "no ",
        "不",
        "除了",
        "slow films, no horror, gore or ",
        "《",
        '"a',
        "i ",
        "'a",
        "-",
        ",",
        "a",
        "😀",
    ],
)
def test_time_grows_with_the_length_alone(unit):
    def seconds(n_chars):
        gc.disable()  # its passes over all that the tests hold are not the reader's time
        try:
            began = time.process_time()
            clauses(unit * (n_chars // len(unit)))
            return time.process_time() - began
        finally:
            gc.enable()

    short = max(seconds(10_000), seconds(10_000), 0.005)
    assert min(seconds(200_000), seconds(200_000)) < 80 * short  # a square would be 400


def test_a_megabyte_is_read():
    text = "I like slow films, no horror; 没有血腥的悬疑片，"
    found = clauses(text * (1_000_000 // len(text)))
    assert len(found) == 4 * (1_000_000 // len(text))


def test_what_stands_in_quotes_is_a_title():
    assert clauses("《别告诉她》和《不要抬头》")[0].sign == 1
    assert [c.sign for c in clauses('no horror, but "No Way Out"')] == [-1, 1]
