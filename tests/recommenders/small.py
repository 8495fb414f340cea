"""Settings under which the default method trains in a second."""

from warmstart.recommenders.default_config import DefaultConfig

SMALL = DefaultConfig.parse(
    {
        "hidden_dim": 48,
        "embedding_dim": 16,
        "folds": 2,
        "training": {"epochs": 25},
        "gate_shots": (0, 1, 3, 8),
        "gate_users": 400,
        "onboarding": {"policy": {"updates": 2}},
    }
)
