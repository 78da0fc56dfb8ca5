"""Run by Alembic: migrates the connection that `service.store.migrate` passes."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from service.store import export_models, final_training_models, key_models, upload_models  # noqa: F401 -- tables
from service.store.models import Base

#: Any number, the same in all processes: those that start together migrate one after the other (PostgreSQL).
_LOCK = 7_360_001

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
context.run_migrations()
