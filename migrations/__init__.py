"""The steps of the database's schema, for Alembic; `service.store.migrate` takes them."""
