"""No table of cached posteriors: what was meant to be kept there is sooner made again."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop the table."""
    op.drop_table("posteriors")
