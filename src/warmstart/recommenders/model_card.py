"""The model card: what a person should know before using a saved model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def model_card(manifest: Mapping[str, Any]) -> str:
    """Return the card as Markdown.

    Args:
        manifest: plain values of `warmstart.recommenders.artifact.Manifest`.
    """
    data, catalogue = manifest["data"], manifest["catalogue"]
    rule = catalogue["schema"]["evidence"]
    users = [block["column"] for block in catalogue["user_features"] or []]
    items = [block["column"] for block in catalogue["item_features"] or []]
    rows = [
        ("method", f"`{manifest['method']}`"),
        ("data", f"{data.get('dataset')} (fingerprint `{str(data.get('fingerprint'))[:16]}…`)"),
        ("training users", f"{catalogue['n_users']:,}"),
        ("training interactions", f"{data.get('n_interactions', 0):,}"),
        ("items in the catalogue", f"{catalogue['n_items']:,}"),
        ("of these added after training", f"{catalogue['n_new']:,}"),
        ("of these removed", f"{catalogue.get('n_removed', 0):,}"),
        ("opinions", _opinions(rule)),
        ("user columns", ", ".join(users) or "none"),
        ("item columns", ", ".join(items) or "none"),
        ("seed", manifest["seed"]),
        ("written by", f"{manifest['created_by']}, format {manifest['format']}"),
        ("created", manifest["created"] or "not recorded"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    versions = ", ".join(f"{name} {v}" for name, v in manifest["versions"].items())
    return _CARD.format(
        table=table,
        settings=_json(manifest["config"]),
        figures=_figures(manifest["report"]),
        versions=versions,
    )


def _opinions(rule: Mapping[str, Any]) -> str:
    if rule["threshold"] is None or rule["low"] is None or rule["high"] is None:
        return "every interaction is a like"
    return f"ratings {rule['low']:g} to {rule['high']:g}; a like from {rule['threshold']:g} on"


def _figures(report: Mapping[str, Any]) -> str:
    if not report:
        return (
            "None were recorded: the method validates nothing while it trains. Run "
            "`warmstart compare` on your data."
        )
    return (
        "As the method reports them, on users held out of the training rows (not a test set; "
        f"for comparisons with baselines run `warmstart compare`):\n\n```json\n{_json(report)}\n```"
    )


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2).replace("```", "'''")


_CARD = """# Model card

A saved model of [warmstart](https://pypi.org/project/warmstart/): it ranks a catalogue for users
whom it has never met, from nothing, from what is known of them, or from their first few events.

| | |
|---|---|
{table}

## Settings

```json
{settings}
```

## Validation figures

{figures}

## Intended use

Ranking the items of this catalogue for new users; `warmstart.load("FOLDER").recommend([…])`, or
`warmstart recommend FOLDER --likes …`. Scores are comparable within one user's list only; they are
neither probabilities nor ratings.

## Limits

- It has learned the tastes of the training users, with their gaps and biases; popular items come
  first where little is known of a user.
- Items added after training stand on their description alone.
- It is not fit for decisions about people.
- The hashes in `manifest.json` show that the files are as they were written, not who wrote them.

## Licence

The model derives from its training data: what those data's licence forbids (for MovieLens:
redistribution and commercial use without permission) holds for this model, too. The code is
Apache-2.0.

Versions: {versions}
"""
