"""The work list is looked at by its indexes, and an alert that was not told counts as untold."""

from pathlib import Path

from alembic import op

revision = "0011_standing"
down_revision = "0010_watch"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent


def upgrade() -> None:
    op.get_bind().exec_driver_sql((SQL / f"{revision}.up.sql").read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    op.get_bind().exec_driver_sql((SQL / f"{revision}.down.sql").read_text(encoding="utf-8").replace("%", "%%"))
