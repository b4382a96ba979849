"""Alembic's entry: every migration in a transaction of its own, giving up rather than blocking claims."""

from alembic import context
from sqlalchemy import text

from app.models import Base

with context.config.attributes["engine"].connect() as connection:
    # A migration that can't get its lock at once would queue every claim behind it.
    connection.execute(text("SET lock_timeout = '3s'"))
    connection.execute(text("SET statement_timeout = 0"))
    connection.commit()
    context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
    # The connection goes back to the pool as it came.
    connection.execute(text("RESET lock_timeout"))
    connection.execute(text("RESET statement_timeout"))
    connection.commit()
