"""What was salvaged from a damaged file: which queue minted the older event ids, what was lost, where the file is."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE salvages (
            number INTEGER NOT NULL PRIMARY KEY,
            queue_id TEXT NOT NULL,
            through INTEGER NOT NULL,
            salvaged_ms INTEGER NOT NULL,
            events INTEGER NOT NULL,
            lost INTEGER NOT NULL,
            unplaced INTEGER NOT NULL,
            place TEXT NOT NULL,
            reason TEXT NOT NULL
        )
        """
    )


def downgrade() -> None:
    raise RuntimeError("edgequeue does not downgrade: put back the backup that was made before the upgrade")
