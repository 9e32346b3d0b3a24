"""Every setting as an operator sees it."""

import re
from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from kyc_service.domain.record import record
from kyc_service.log import redact
from kyc_service.settings import Settings

QUERY = re.compile(r"(://[^?]*)\?.*")  # of an address: it may hold a token


@record
class Setting:
    """One variable: its name, what it is for, its default and its present value, secrets masked."""

    name: str
    description: str
    default: str
    value: str

    def shown(self) -> dict[str, str]:
        """As JSON shows it."""
        return {"name": self.name, "value": self.value, "default": self.default, "description": self.description}


def listed(present: Settings) -> Sequence[Setting]:
    """All of them, in the order of the settings' own source."""
    return [
        Setting(
            name=f"KYC_{name.upper()}",
            description=field.description or "",
            default=_written(field.default),
            value=_written(getattr(present, name)),
        )
        for name, field in Settings.model_fields.items()
    ]


def _written(value: object) -> str:
    """A value as one would write it into the environment."""
    match value:
        case None:
            return ""
        case SecretStr():
            return "***"
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(QUERY.sub(r"\1?***", _written(str(part))) for part in value)
        case Mapping():
            return ",".join(f"{key}={'+'.join(one) if isinstance(one, tuple) else one}" for key, one in value.items())
        case _:
            return str(redact(None, "config", {"event": str(value)})["event"])  # an address may hold a password
