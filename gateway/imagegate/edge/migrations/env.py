"""How alembic reaches the database: by the connection that `database.opened` hands it."""

from alembic import context

from imagegate.edge.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=METADATA, render_as_batch=True, transaction_per_migration=False
)
with context.begin_transaction():
    context.run_migrations()
