"""Trials that continue others, trials that a proof ends, the float model's metric."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("float_metric", sa.Double(), nullable=True))
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.add_column(sa.Column("epochs", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("initial_epoch", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("parent", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("proof", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo. In place: SQLite's way of copying a table deletes what refers to it by ON DELETE CASCADE."""
    for column in ("proof", "parent", "initial_epoch", "epochs"):
        op.drop_column("trials", column)
    op.drop_column("jobs", "float_metric")
