"""Orders are due by the clock of the database."""

from pathlib import Path

from alembic import op

revision = "0017_due"
down_revision = "0016_holders"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent


def upgrade() -> None:
    op.get_bind().exec_driver_sql((SQL / f"{revision}.up.sql").read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    op.get_bind().exec_driver_sql((SQL / f"{revision}.down.sql").read_text(encoding="utf-8").replace("%", "%%"))
