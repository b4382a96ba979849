"""Live updates: what of a project hasn't ended, found without reading its past

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INDEX = "ix_generation_requests_project_live"
_TABLE = "generation_requests"


def upgrade() -> None:
    """Build an index beside the running system; it may have been begun, and given up, before."""
    live = sa.text("project_id IS NOT NULL AND completed_at IS NULL")
    with op.get_context().autocommit_block():
        op.drop_index(_INDEX, _TABLE, if_exists=True, postgresql_concurrently=True)
        op.create_index(
            _INDEX,
            _TABLE,
            ["owner_id", "project_id", "id"],
            postgresql_where=live,
            postgresql_concurrently=True,
        )
