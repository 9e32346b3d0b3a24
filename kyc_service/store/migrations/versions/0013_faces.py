"""Descriptions of faces, for the tenants that look for one person under two names."""

from pathlib import Path

from alembic import op

revision = "0013_faces"
down_revision = "0012_biometric"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent


def upgrade() -> None:
    op.get_bind().exec_driver_sql((SQL / f"{revision}.up.sql").read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    op.get_bind().exec_driver_sql((SQL / f"{revision}.down.sql").read_text(encoding="utf-8").replace("%", "%%"))
