"""`warmstart ask`: a list for a request in somebody's own words, or a conversation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from warmstart.cli._shared import check_folder, shown, write_json
from warmstart.cli.recommend import known_of
from warmstart.core.errors import ConfigError, WarmstartError
from warmstart.data.reviews import read_reviews
from warmstart.recommenders.asking.engine import DEADLINE_SECONDS, Answer
from warmstart.recommenders.llm_recommender import LLMRecommender

_PROMPT = "what would you like? "


def ask(
    model: Annotated[Path, typer.Argument(help="A saved model.")],
    query: Annotated[
        str | None,
        typer.Argument(help='The request: "five quiet space films, no horror". Without it, talk.'),
    ] = None,
    likes: Annotated[
        list[str] | None, typer.Option(help="Title or id that the user likes; repeat it.")
    ] = None,
    dislikes: Annotated[
        list[str] | None, typer.Option(help="Title or id that the user does not like.")
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option(help="What is known of the user: column=value; repeat it.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many items, unless the request says.")] = 10,
    llm: Annotated[
        str | None,
        typer.Option(help="Language model that reads too: a package, a GGUF file, URL#model."),
    ] = None,
    llm_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the server's key.")
    ] = None,
    deadline: Annotated[
        float, typer.Option(help="Seconds for an answer; a later model is not waited for.")
    ] = DEADLINE_SECONDS,
    reviews: Annotated[
        Path | None,
        typer.Option(help="Reviews (item, user, text): reasons name what several praise."),
    ] = None,
    trust_encoders: Annotated[
        bool, typer.Option(help="Send the words to an endpoint, as the saved model names it.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(help="Write the answer as JSON; - for stdout.")
    ] = None,
) -> None:
    """Answer a request in English or Chinese with items of the catalogue.

    Rules read the request; a language model, if one is given, reads it too, and never chooses.
    """
    check_folder(json)
    asked = LLMRecommender(
        llm,
        recommender=model,
        reviews=None if reviews is None else read_reviews(reviews),
        trust_encoders=trust_encoders,
        api_key_env=llm_key_env,
    )
    given: dict[str, Any] = {
        "history": likes or [],
        "dislikes": dislikes or [],
        "user": known_of(user),
        "k": k,
        "deadline_seconds": deadline,
    }
    if query is not None:
        answer = asked.ask(query, **given)
        if json is not None:
            write_json(json, answer.to_dict())
        else:
            _show(answer)
        return
    if json is not None or not sys.stdin.isatty():
        raise ConfigError('there is no request; write one: warmstart ask MODEL "quiet space films"')
    _talk(asked, given)


def _talk(asked: LLMRecommender, given: dict[str, Any]) -> None:
    """Go on until an empty line or the end of the input."""
    console, state = Console(), None
    while True:
        try:
            query = console.input(_PROMPT).strip()
        except EOFError:
            return
        if not query:
            return
        try:
            answer = asked.ask(query, state=state, **given)
        except WarmstartError as error:  # a slip of the keyboard is no end of a conversation
            console.print(shown(str(error)), style="red")
            continue
        state = answer.state
        given |= {"history": (), "dislikes": (), "user": None}  # the state holds them
        _show(answer)


def _show(answer: Answer) -> None:
    console = Console()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "title", "why"):
        table.add_column(title, justify="right" if not title else "left")
    for r in answer.items:
        table.add_row(str(r.rank), shown(r.title), shown(r.reason))
    if answer.items:
        console.print(table)
    for line in (*answer.refused, *answer.flags):
        console.print(shown(line), style="yellow")
    if answer.question:
        console.print(shown(answer.question), style="bold")
