"""What other teams may ask of the service by message: commands, as CloudEvents 1.0 in structured mode.

The access token is no part of the envelope: envelopes are logged and kept, so it travels in a header of the transport.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

COMMANDS = "kyc.commands"  # the queue, and the topic
PARKED = "kyc.commands.parked"  # where a command goes that nobody could carry out
REPLIES = "kyc.replies"  # what the address of a reply starts with
LONGEST_NAME = 255


class CommandType(StrEnum):
    """The commands that this version knows."""

    KYC_SUBMIT = "KYC_SUBMIT"
    KYC_AMEND = "KYC_AMEND"


class KycCommand(BaseModel):
    """A command in its envelope. `source` and `id` together name it: the same two are the same command, once."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, max_length=LONGEST_NAME, description="Sent again, a command keeps its id.")
    source: str = Field(min_length=1, max_length=LONGEST_NAME, json_schema_extra={"format": "uri-reference"})
    type: CommandType
    subject: UUID | None = Field(default=None, description="The application that `KYC_AMEND` is about.")
    time: AwareDatetime | None = None
    datacontenttype: Literal["application/json", "application/merge-patch+json"] = "application/json"
    expectedversion: int | None = Field(
        default=None, ge=1, description="Amend only this version of the application, as `If-Match` does."
    )
    traceparent: str | None = Field(default=None, pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
    data: dict[str, JsonValue] = Field(description="What the body of the same request over HTTP holds.")

    @model_validator(mode="after")
    def _amends_something(self) -> Self:
        if (self.type is CommandType.KYC_AMEND) is not (self.subject is not None):
            raise ValueError("KYC_AMEND names its application as the subject, and KYC_SUBMIT has none yet")
        return self


def submit_command(data: Mapping[str, JsonValue], *, id: str, source: str) -> KycCommand:  # noqa: A002  CloudEvents' name
    """The command to submit *data*, which is what `POST /v1/kyc/applications` takes."""
    return KycCommand(specversion="1.0", id=id, source=source, type=CommandType.KYC_SUBMIT, data=dict(data))


def amend_command(
    application: UUID,
    patch: Mapping[str, JsonValue],
    *,
    id: str,  # noqa: A002  CloudEvents' name
    source: str,
    expected_version: int | None = None,
) -> KycCommand:
    """The command to amend *application* by a JSON merge patch, which is what `PATCH` takes."""
    return KycCommand(
        specversion="1.0",
        id=id,
        source=source,
        type=CommandType.KYC_AMEND,
        subject=application,
        datacontenttype="application/merge-patch+json",
        expectedversion=expected_version,
        data=dict(patch),
    )


def encode_command(command: KycCommand) -> bytes:
    """*command* as the body of a message of type `MEDIA_TYPE`; what it does not say is left out, not null."""
    left_out = {
        name for name in ("subject", "time", "expectedversion", "traceparent") if getattr(command, name) is None
    }
    return command.model_dump_json(exclude=left_out).encode()
