"""The first tables; those of `sqlite.MIGRATIONS`, in PostgreSQL's types."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    settings = op.create_table(
        "settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(settings, [{"name": "salt", "value": secrets.token_bytes(32)}])
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tenant", sa.LargeBinary, nullable=False),
        sa.Column("event_id", sa.LargeBinary, nullable=False),
        sa.Column("user_id", sa.LargeBinary, nullable=False),
        sa.Column("item_id", sa.LargeBinary, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("timestamp", sa.Double, nullable=False),
        sa.UniqueConstraint("tenant", "event_id"),
    )
    op.create_index("events_of_tenant", "events", ["tenant", "number"])
    op.create_index("events_of_user", "events", ["tenant", "user_id"])
    op.create_table(
        "tombstones",
        sa.Column("mark", sa.LargeBinary, primary_key=True),
        sa.Column("deleted", sa.Double, nullable=False),
    )
    op.create_table(
        "posteriors",
        sa.Column("tenant", sa.LargeBinary, primary_key=True),
        sa.Column("user_id", sa.LargeBinary, primary_key=True),
        sa.Column("model", sa.LargeBinary, primary_key=True),
        sa.Column("last_event", sa.LargeBinary, nullable=False),
        sa.Column("posterior", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "item_changes",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tenant", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("rows", sa.Text, nullable=False),
        sa.Column("timestamp", sa.Double, nullable=False),
    )
    op.create_index("item_changes_of_tenant", "item_changes", ["tenant", "number"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("tenant", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("revoked", sa.Double),
    )
