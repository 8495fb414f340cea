"""Contract tests that the author of a plug-in can run."""

from warmstart.testing.contracts import CONTRACTS, BrokenContract, Subject, check_method

__all__ = ["CONTRACTS", "BrokenContract", "Subject", "check_method"]
