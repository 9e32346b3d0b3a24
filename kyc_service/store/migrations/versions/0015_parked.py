"""A place for the count of the commands that lie parked at the brokers."""

from pathlib import Path

from alembic import op

revision = "0015_parked"
down_revision = "0014_refusals"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent


def upgrade() -> None:
    op.get_bind().exec_driver_sql((SQL / f"{revision}.up.sql").read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    op.get_bind().exec_driver_sql((SQL / f"{revision}.down.sql").read_text(encoding="utf-8").replace("%", "%%"))
