"""Tables to tasks: datasets under dense indices, named datasets, splits, and the leak check."""

from warmstart.data.dataset import Dataset
from warmstart.data.evidence import EvidenceRule
from warmstart.data.features import FeatureSpace
from warmstart.data.findings import Finding, LintReport
from warmstart.data.ids import Id, Ids
from warmstart.data.interactions import Interactions
from warmstart.data.leakage import check_no_leak
from warmstart.data.lint import lint_split, lint_tables
from warmstart.data.lint_fits import lint_fits, lint_results
from warmstart.data.named import load_dataset
from warmstart.data.report import BadRow, RowReport
from warmstart.data.schema import Column, Schema
from warmstart.data.splits import Split, SplitConfig, SplitFiles, make_split
from warmstart.data.synthetic import SyntheticConfig, synthetic
from warmstart.data.tasks import Scenario, Tasks

__all__ = [
    "BadRow",
    "Column",
    "Dataset",
    "EvidenceRule",
    "FeatureSpace",
    "Finding",
    "Id",
    "Ids",
    "Interactions",
    "LintReport",
    "RowReport",
    "Scenario",
    "Schema",
    "Split",
    "SplitConfig",
    "SplitFiles",
    "SyntheticConfig",
    "Tasks",
    "check_no_leak",
    "lint_fits",
    "lint_results",
    "lint_split",
    "lint_tables",
    "load_dataset",
    "make_split",
    "synthetic",
]
