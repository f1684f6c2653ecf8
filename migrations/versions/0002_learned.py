"""What is learned about a destination outlives the process: suspect events, a size that gets through."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE destinations ADD COLUMN learned TEXT")


def downgrade() -> None:
    raise RuntimeError("edgequeue does not downgrade: put back the backup that was made before the upgrade")
