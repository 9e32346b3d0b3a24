"""The application for KYC as every service knows it: field for field the published contract."""

from datetime import datetime
from enum import Enum
from uuid import UUID

from pydantic import BaseModel, EmailStr, Field


class ApplicationStatus(str, Enum):  # noqa: UP042  a StrEnum prints differently, and the contract says (str, Enum)
    """Where an application stands; the set is closed."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    VERIFIED = "VERIFIED"
    REJECTED = "REJECTED"
    ROLLED_BACK = "ROLLED_BACK"


class ApplicantDocument(BaseModel):
    """One document that the applicant announced; `file_id` names the uploaded file."""

    doc_type: str = Field(..., examples=["PASSPORT", "NATIONAL_ID"])
    file_id: UUID
    issued_country: str = Field(..., min_length=2, max_length=2)


class KycApplication(BaseModel):
    """One person's application for verification. It holds personal data; the events never do."""

    id: UUID
    user_id: UUID
    email: EmailStr
    created_at: datetime
    status: ApplicationStatus = ApplicationStatus.PENDING
    reason: str | None = None
    documents: list[ApplicantDocument] = Field(default_factory=list)
