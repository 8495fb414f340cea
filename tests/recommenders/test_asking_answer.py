"""Answers: conditions hold, nothing seen comes back, reasons are facts, a conversation goes on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recommenders.asked_films import ROWS, dataset, recommender
from tests.recommenders.small import SMALL

from warmstart.core.errors import ConfigError, DataError, LanguageModelError, UnknownItemError
from warmstart.data import Dataset
from warmstart.llm.model import Reply
from warmstart.llm.wish import Condition, Wish
from warmstart.recommenders import LLMRecommender, Recommender
from warmstart.recommenders.asking.conversation import merged
from warmstart.recommenders.asking.lexical import Lexical, words_of
from warmstart.recommenders.asking.models import language_model
from warmstart.recommenders.asking.resolve import compile_filters, meets, resolve, sound
from warmstart.recommenders.asking.retrieve import Retriever
from warmstart.recommenders.encoding import encode_items

FILMS = {row[0]: dict(zip(("title", "genres", "year", "director", "actors", "runtime", "price"),
                          row[1:8], strict=True)) for row in ROWS}  # fmt: skip


@pytest.fixture(scope="module")
def asked():
    """Without texts: categories, names and letters are all there is."""
    return LLMRecommender(recommender=recommender())


@pytest.fixture(scope="module")
def hearing():
    """With an encoder of the plots."""
    data, _ = encode_items(dataset(), ["plot"])
    return LLMRecommender(recommender=Recommender(config=SMALL, seed=0).fit(data, progress=False))


def items(answer):
    return [found.item for found in answer.items]


def holds(condition, film):
    """A condition checked the slow way."""
    cell = film[condition.column]
    values = str(cell).split("|")
    return {
        "has": lambda: condition.value in values,
        "has not": lambda: condition.value not in values,
        "<": lambda: cell < condition.value,
        "<=": lambda: cell <= condition.value,
        ">": lambda: cell > condition.value,
        ">=": lambda: cell >= condition.value,
        "=": lambda: cell == condition.value,
        "!=": lambda: cell != condition.value,
    }[condition.operator]()


genre = st.sampled_from(sorted({g for film in FILMS.values() for g in film["genres"].split("|")}))
condition = st.one_of(
    st.builds(Condition, column=st.just("genres"), operator=st.sampled_from(["has", "has not"]),
              value=genre),
    st.builds(Condition, column=st.sampled_from(["year", "runtime"]),
              operator=st.sampled_from(["<", "<=", ">", ">=", "=", "!="]),
              value=st.sampled_from([80, 100, 117, 1952, 1979, 1980, 1997, 2001])),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(condition, max_size=4))
def test_masks_are_what_a_slow_loop_says(asked, conditions):
    catalogue = asked.recommender.catalogue
    mask, conflict = compile_filters(conditions, catalogue)
    slow = [all(holds(c, FILMS[i]) for c in conditions) for i in catalogue.items]
    assert mask is None if not conditions else mask.tolist() == slow
    assert (conflict is None) == (any(slow) or not conditions)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([
        "comedies", "no horror", "before 1980", "under 2 hours", "like Alien", "不要动画片",
        "八十年代", "five films", "quiet", "but not Star Wars", "1990年以后的", "不超过100分钟",
        "西部片",
        "funny", "under $10", "films by Hitchcock",
    ]), min_size=1, max_size=4),
    st.lists(st.sampled_from(sorted(FILMS)), max_size=4, unique=True),
)  # fmt: skip
def test_no_condition_is_violated_and_nothing_seen_comes_back(asked, parts, history):
    answer = asked.ask(", ".join(parts), history=history, k=30)
    for item in items(answer):
        assert item in FILMS
        assert item not in history
        assert all(holds(c, FILMS[item]) for c in answer.parsed.filters)
    assert len(set(items(answer))) == len(answer.items)


def test_a_condition_the_catalogue_cannot_be_asked_is_refused(asked):
    known = asked._retriever.attributes
    bad = [
        Condition(column="mood", operator="has", value="sad"),
        Condition(column="genres", operator="has", value="Jazz"),
        Condition(column="genres", operator="<", value="Horror"),
        Condition(column="year", operator="has", value=1990),
        Condition(column="year", operator=">", value="old"),
        Condition(column="title", operator="=", value="Alien (1979)"),
    ]
    good = Condition(column="genres", operator="=", value="horror")
    kept, why = sound([*bad, good], known)
    assert kept == (Condition(column="genres", operator="has", value="Horror"),)
    assert len(why) == len(bad)
    assert "no such column" in why[0]


def test_unknown_cells_meet_negations_alone():
    rows = {"user": [1, 2], "item": ["a", "b"]}
    data = Dataset.from_tables(rows, {"item": ["a", "b"], "year": [1990.0, None]},
                               schema={"items": {"year": "number"}})  # fmt: skip
    catalogue = Recommender("popularity").fit(data).catalogue
    for operator, expected in ((">=", [True, False]), ("!=", [True, True]), ("<", [False, False])):
        value = 1990 if operator != "!=" else 1991
        found = meets(Condition(column="year", operator=operator, value=value), catalogue)
        assert dict(zip(catalogue.items, found.tolist(), strict=True)) == dict(
            zip("ab", expected, strict=True)
        )


def test_conditions_that_leave_nothing_leave_nothing(asked):
    answer = asked.ask("westerns from the 1990s")
    assert answer.items == ()
    assert any("leave no item" in flag for flag in answer.flags)
    assert "genres has Western" in answer.question or "year" in answer.question


def test_names_are_found_by_spelling_series_and_fame(asked):
    catalogue = asked.recommender.catalogue
    known = asked._retriever.attributes

    def found(*names):
        resolved = resolve(Wish(liked_items=names), catalogue, known)
        return [catalogue.items[i] for i in resolved.liked], resolved

    assert found("the matrix")[0] == [4]
    assert found("The Matrx")[0] == [4]
    assert set(found("Star Wars")[0]) == {5, 6}
    titanic, resolved = found("Titanic")
    assert titanic == [9]  # more people like it
    assert "of 2 of that name" in resolved.notes[0]
    nothing, resolved = found("Zorbulon")
    assert nothing == []
    assert resolved.unknown == ("Zorbulon",)


def test_what_is_liked_by_name_is_history_of_the_same_user(asked):
    plain = asked.recommender.recommend(["Alien (1979)"], k=5)
    answer = asked.ask("something like Alien", k=5)
    assert items(answer) == [r.item for r in plain]
    both = asked.ask("something like Alien", history=["Blade Runner (1982)"], k=5)
    assert items(both) == [
        r.item for r in asked.recommender.recommend(["Blade Runner (1982)", "Alien (1979)"], k=5)
    ]


def test_a_disliked_series_does_not_come_back(asked):
    assert not {5, 6} & set(items(asked.ask("sci-fi but not Star Wars", k=20)))


def test_the_articles_query(asked):
    titles = asked.generate_recommendation("我喜欢看电影，推荐一些电影。")
    assert len(titles) == 5
    assert set(titles) <= {film["title"] for film in FILMS.values()}
    new = asked.ask("我喜欢看电影，推荐一些电影。")
    assert new.question.startswith("你更想要")
    assert "no taste" in " ".join(new.flags) or "diverse" in " ".join(new.flags)
    known = asked.ask("我喜欢看电影，推荐一些电影。", history=["Alien (1979)"])
    assert known.question is None
    assert items(known) == [r.item for r in asked.recommender.recommend(["Alien (1979)"], k=10)]


def test_the_diverse_list_is_more_diverse_than_the_popular_one():
    likes = {"a": 12, "b": 12, "c": 12, "d": 11, "e": 11, **dict.fromkeys("fghij", 1)}
    rows = [(user, item) for item, n in likes.items() for user in range(n)]
    kinds = ["War", "War", "War", "War", "Comedy", *["Drama"] * 5]
    data = Dataset.from_tables(
        {"user": [u for u, _ in rows], "item": [i for _, i in rows]},
        {"item": list(likes), "genres": kinds},
        schema={"items": {"genres": "category"}},
    )
    told = LLMRecommender(recommender=Recommender("popularity").fit(data))
    assert [r.item for r in told.recommender.recommend(k=3)] == ["a", "b", "c"]
    assert "e" in items(told.ask("recommend something", k=3))


def test_reasons_name_facts_alone(asked):
    answer = asked.ask("sci-fi before 1990", history=["Alien (1979)"])
    assert items(answer)
    for found in answer.items:
        assert str(FILMS[found.item]["year"]) in found.reason
        assert "Sci-Fi" in found.reason
        others = {f["title"] for i, f in FILMS.items() if i != 1}
        assert not any(title in found.reason for title in others)
    chinese = asked.ask("八十年代的科幻片", history=["Alien (1979)"])
    assert all("科幻" in r.reason and "年" in r.reason for r in chinese.items)
    assert any("因为你喜欢《Alien》" in r.reason for r in chinese.items)


def test_a_word_that_is_quoted_stands_in_the_plot(asked):
    answer = asked.ask("films about a ship", k=16)
    said = [r.item for r in answer.items if "“ship”" in r.reason]
    assert set(said) == {9, 10}
    assert items(answer)[0] in {9, 10}


def test_words_are_heard_by_meaning(hearing):
    assert hearing.ask("monsters in outer space", k=4).items[0].item in {1, 2, 5}
    assert hearing.ask("太空里的怪物", k=4).items[0].item in {1, 2, 5, 13}


def test_a_conversation_goes_on(asked):
    first = asked.ask("sci-fi", k=3)
    older = asked.ask("older", state=first.state, k=3)
    middle = np.median([FILMS[i]["year"] for i in items(first)])
    assert all(FILMS[i]["year"] < middle for i in items(older))
    assert all("Sci-Fi" in FILMS[i]["genres"] for i in items(older))
    calm = asked.ask("不要恐怖片", state=first.state, k=10)
    assert all("Horror" not in FILMS[i]["genres"] for i in items(calm))
    assert all("Sci-Fi" in FILMS[i]["genres"] for i in items(calm))
    more = asked.ask("再来几部", state=first.state, k=3)
    assert not set(items(more)) & set(items(first))
    like = asked.ask("more like the second one", state=first.state, k=10)
    assert items(first)[1] not in items(like)
    assert like.state.liked == (first.state.shown[1],)
    assert asked.ask("shorter", state=first.state).parsed.filters[-1].column == "runtime"
    assert asked.ask("cheaper please", state=first.state).parsed.filters[-1].operator == "<"
    fresh = asked.ask("start over, westerns", state=calm.state)
    assert [c.value for c in fresh.parsed.filters] == ["Western"]
    assert first.state.wish.filters == asked.ask("sci-fi", k=3).state.wish.filters  # unchanged


def test_the_history_goes_on_in_a_conversation(asked):
    first = asked.ask("anything good", history=["Alien (1979)"], k=3)
    again = asked.ask("no westerns", state=first.state, k=16)
    assert 1 not in items(again)
    assert [e.value for e in again.state.events] == [1.0]


def test_what_is_new_replaces_what_it_contradicts():
    def wish(*conditions):
        return Wish(filters=[Condition(column=c, operator=o, value=v) for c, o, v in conditions])

    old = wish(("year", ">=", 1980), ("year", "<=", 1989), ("genres", "has", "Horror"))
    new = merged(old, wish(("year", ">=", 1995)))
    assert [(c.operator, c.value) for c in new.filters] == [("has", "Horror"), (">=", 1995)]
    gone = merged(old, wish(("genres", "has not", "Horror"))).filters
    assert [c.operator for c in gone] == [">=", "<=", "has not"]
    back = merged(Wish(dislikes=("war",)), Wish(likes=("war",)))
    assert (back.likes, back.dislikes) == (("war",), ())


def test_a_catalogue_of_ids_alone(asked):
    rows = {"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "c", "a"]}
    bare = LLMRecommender(recommender=Recommender("itemknn").fit(Dataset.from_tables(rows)))
    answer = bare.ask("quiet films", history=["b"])
    assert items(answer) == ["a", "c"]
    assert any("letters" in flag for flag in answer.flags)
    assert bare.ask("recommend something").question == "Which do you like better: a or b?"


def test_bm25_is_what_its_formula_says():
    texts = ["dog dog cat", "cat", "bird bird bird bird"]
    index = Lexical.of_texts(texts)
    mean = (3 + 1 + 4) / 3
    idf = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 * 2.2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / mean))
    np.testing.assert_allclose(index.score(["dogs"]), [expected, 0, 0], rtol=1e-5)
    assert words_of("战争片 stories") == ["战争", "争片", "story"]


class Says:
    """A language model of few words."""

    name, version, mode = "says", "1", "schema"

    def __init__(self, reply):
        self.reply = reply

    def complete(self, messages, *, schema=None, max_tokens=256, timeout_seconds=30.0):
        if isinstance(self.reply, Exception):
            raise self.reply
        if callable(self.reply):
            return self.reply()
        return Reply(self.reply, prompt_tokens=100, tokens=10)

    def choose(self, messages, choices, *, timeout_seconds=30.0):
        return None


def test_a_model_adds_and_never_overrules(asked):
    model = Says('{"must": ["genres: Western"], "likes": ["dark city"], "count": 3}')
    told = LLMRecommender(recommender=asked.recommender, model=model)
    answer = told.ask("three from a dark city, no horror")
    assert (answer.mode, answer.tokens) == ("schema", 110)
    assert [f"{c.operator} {c.value}" for c in answer.parsed.filters] == ["has not Horror"]
    assert len(answer.items) == 3


@pytest.mark.parametrize(
    "reply",
    ["no JSON", '{"must": 7', '{"titles": ["The Godfather"]}', LanguageModelError("gone"),
     RuntimeError("bug of a plug-in")],
)  # fmt: skip
def test_whatever_a_model_says_the_list_is_that_of_the_rules(asked, reply):
    told = LLMRecommender(recommender=asked.recommender, model=Says(reply))
    answer = told.ask("sci-fi before 1990")
    assert items(answer) == items(asked.ask("sci-fi before 1990"))
    assert answer.mode == "none"
    assert any("read by rules" in flag for flag in answer.flags)


def test_a_late_model_is_not_waited_for(asked):
    import threading
    import time

    done = threading.Event()

    def late():
        done.wait(5)
        return Reply("{}")

    told = LLMRecommender(recommender=asked.recommender, model=Says(late))
    told.ask("comedies", deadline_seconds=0.3)  # what is built once is built
    begun = time.perf_counter()
    answer = told.ask("comedies", deadline_seconds=0.3)
    done.set()
    assert time.perf_counter() - begun < 2
    assert answer.items
    assert answer.mode == "none"


def test_a_saved_model_is_asked_by_its_folder(asked, tmp_path):
    asked.recommender.save(tmp_path / "films")
    by_name = LLMRecommender(model_name=tmp_path / "films")
    assert items(by_name.ask("sci-fi")) == items(asked.ask("sci-fi"))
    with pytest.raises(ConfigError, match="leave one out"):
        LLMRecommender(tmp_path / "films", recommender=asked.recommender)


def test_items_that_come_later_are_found(asked):
    model = recommender()
    later = LLMRecommender(recommender=model)
    later.ask("westerns")
    row = {"item": [99], "title": ["Shane (1953)"], "genres": ["Western"], "year": [1953]}
    model.add_items(row)
    assert 99 in items(later.ask("westerns", k=16))
    model.remove_items([99])
    assert 99 not in items(later.ask("westerns, no horror", k=16))


def test_nonsense_is_refused_in_one_line(asked):
    for query in ("", "   ", "\u200b\n"):
        with pytest.raises(DataError, match="says nothing"):
            asked.ask(query)
    with pytest.raises(ConfigError, match="k must be"):
        asked.ask("comedies", k=0)
    with pytest.raises(ConfigError, match="deadline"):
        asked.ask("comedies", deadline_seconds=0)
    with pytest.raises(UnknownItemError):
        asked.ask("comedies", history=["Zorbulon"])
    with pytest.raises(ConfigError, match="no language model"):
        language_model("tianhuan/LLaMA-7B")


def test_the_clock_is_an_argument(asked):
    from warmstart.recommenders.asking.engine import answer

    ticks = iter([0.0, 0.0, 9.0, 9.0])
    late = answer(asked._retriever, "sci-fi", now=lambda: next(ticks))
    assert late.latency_ms == 9000
    assert "no time for reasons" in late.flags
    assert {r.reason for r in late.items} == {""}


def test_a_retriever_says_what_it_does_not_know():
    assert Retriever(recommender("popularity").fitted).words is None
