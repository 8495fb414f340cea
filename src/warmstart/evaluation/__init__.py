"""Metrics, protocols and significance; this room sees arrays and Protocols only."""

from warmstart.evaluation.protocol import Evaluation, evaluate, shuffled_support
from warmstart.evaluation.report import Report, Row
from warmstart.evaluation.significance import (
    bootstrap_interval,
    holm,
    paired_permutation,
    worth_it,
)

__all__ = [
    "Evaluation",
    "Report",
    "Row",
    "bootstrap_interval",
    "evaluate",
    "holm",
    "paired_permutation",
    "shuffled_support",
    "worth_it",
]
