"""${message}"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "raise AssertionError('write the migration')"}


def downgrade() -> None:
    raise RuntimeError("edgequeue does not downgrade: put back the backup that was made before the upgrade")
