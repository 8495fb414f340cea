"""Settings of the click model, apart from it so that training and serving both read them."""

from __future__ import annotations

from pydantic import Field

from warmstart.core.config import Config


class BackboneConfig(Config):
    """Settings of the network over columns.

    Attributes:
        dim: width of a value's vector.
        hidden: width of the hidden layer.
        dropout: share of the hidden units that training leaves out.
        epochs: passes over the rows.
        batch_size: rows per step; fewer where a log is small.
        lr: peak step size of Adam under a one-cycle schedule.
        decay: L2 penalty of the values' vectors and weights.
        unknown: share of the rows in which a value is made unknown.
    """

    dim: int = Field(8, ge=1)
    hidden: int = Field(32, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    epochs: int = Field(4, ge=1)
    batch_size: int = Field(512, ge=1)
    lr: float = Field(3e-3, gt=0)
    decay: float = Field(0.0, ge=0)
    unknown: float = Field(0.02, ge=0, lt=1)


class ClickConfig(Config):
    """Settings of the click model.

    Attributes:
        latent: dimensions of a taste that no column names.
        columns: at most so many values of the ads' columns are a dimension of a taste, the most
            frequent ones.
        iterations: of the alternation that learns tastes.
        pretend_cold: share of the ads that are kept from a first fit, to learn what is to be
            believed of an ad before its first event.
        early_rows: of such an ad only its first rows calibrate.
        low_traffic: a new ad is taken for one with the traffic of this quantile of the ads; None
            takes it for any of them, whatever their traffic.
        level_sd: how far, in logits, new ads as a whole may turn out better or worse than that.
        backbone: the network over columns.
    """

    latent: int = Field(8, ge=0)
    columns: int = Field(40, ge=0)
    iterations: int = Field(12, ge=1)
    pretend_cold: float = Field(0.25, gt=0, lt=1)
    early_rows: int = Field(60, ge=1)
    low_traffic: float | None = Field(0.05, ge=0, le=1)
    level_sd: float = Field(0.3, ge=0)
    backbone: BackboneConfig = BackboneConfig()
