"""The revisions of the database's schema, for Alembic; `service.store.migrate` runs them."""
