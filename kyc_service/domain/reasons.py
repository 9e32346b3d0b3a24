"""The reason codes: stable names that the API, the events and the reviewers share, with what an applicant may be told.

A code is *open* when its own text may be shown, *generic* when the applicant only learns the outcome, and *silent* when
it is for analysts alone. A code that would tip off (POCA 2002 s.333A, 31 USC 5318(g)(2)) silences every other code
beside it: see `applicant_texts`. Families: IMAGE, FILE, DOC, MRZ, DATA, ID, AGE, FACE, VENDOR, CASE; codes of the
regulatory catalogue keep their names.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from kyc_service.domain.record import record


class Disclosure(StrEnum):
    """Who may learn a reason."""

    OPEN = "open"
    GENERIC = "generic"
    SILENT = "silent"


@record
class Reason:
    """One code. `retryable`: the applicant can mend it with another picture."""

    code: str
    text: str
    disclosure: Disclosure = Disclosure.OPEN
    retryable: bool = False
    tips_off: bool = False


def _open(code: str, text: str, *, retryable: bool = False) -> Reason:
    return Reason(code=code, text=text, retryable=retryable)


def _generic(code: str, *, tips_off: bool = False) -> Reason:
    return Reason(code=code, text="", disclosure=Disclosure.GENERIC, tips_off=tips_off)


def _silent(code: str) -> Reason:
    return Reason(code=code, text="", disclosure=Disclosure.SILENT)


GENERIC_TEXT = "We need more time to check your application. You don't need to do anything now."

REASONS: Mapping[str, Reason] = {
    reason.code: reason
    for reason in (
        # The picture
        _open("IMAGE_BLURRED", "The picture is blurred. Please take a sharper one.", retryable=True),
        _open("IMAGE_DARK", "The picture is too dark. Please use more light.", retryable=True),
        _open("IMAGE_GLARE", "Light reflects on the document. Please take the picture without glare.", retryable=True),
        _open("IMAGE_TOO_SMALL", "The picture is too small. Please take it from closer.", retryable=True),
        _open("IMAGE_CUT_OFF", "A part of the document is missing in the picture.", retryable=True),
        _open("IMAGE_WRONG_SIDE", "Please send the other side of the document too.", retryable=True),
        _open("IMAGE_NO_DOCUMENT", "We could not find a document in the picture.", retryable=True),
        _open("IMAGE_TOO_LARGE", "The picture has too many pixels. Please send a smaller one.", retryable=True),
        _open("IMAGE_UNDECODABLE", "The file could not be opened as a picture. Please send it again.", retryable=True),
        # The file
        _open("FILE_TYPE_MISMATCH", "The file is not of the kind that it was sent as.", retryable=True),
        _open(
            "FILE_TRAILING_DATA",
            "The file holds more than a picture. Please send it again as a plain picture.",
            retryable=True,
        ),
        _open(
            "FILE_POLYGLOT",
            "The file holds more than a picture. Please send it again as a plain picture.",
            retryable=True,
        ),
        _open("FILE_BOMB", "The file is too large when it is unpacked. Please send a plain picture.", retryable=True),
        _open("FILE_ANIMATED", "The picture moves. Please send a still one.", retryable=True),
        _open("FILE_ENCRYPTED", "The file is protected by a password. Please send it without one.", retryable=True),
        _open(
            "FILE_ACTIVE_CONTENT",
            "The file holds a form or a programme. Please send a plain copy or a picture.",
            retryable=True,
        ),
        _open("FILE_ATTACHMENT", "The file holds other files. Please send a plain copy or a picture.", retryable=True),
        _open(
            "FILE_TOO_MANY_PAGES",
            "The file has too many pages. Please send only the page that we asked for.",
            retryable=True,
        ),
        _open(
            "FILE_UNINSPECTABLE",
            "The file could not be inspected. Please send a plain copy or a picture.",
            retryable=True,
        ),
        _open("FILE_ERASED", "We no longer have this file. Please send it again.", retryable=True),
        # The document
        _generic("IMAGE_SCREENSHOT"),
        _generic("AUTH_EDIT_SOFTWARE", tips_off=True),
        _open("DOC_UNREADABLE", "We could not read your document. Please take a clearer picture.", retryable=True),
        _open("DOC_EXPIRED", "Your document has expired. Please apply again with one that is still valid."),
        _open("DOC_NOT_YET_VALID", "Your document is not valid yet."),
        _open("DOC_TYPE_MISMATCH", "This is not the kind of document that was announced.", retryable=True),
        _open("DOC_TYPE_UNSUPPORTED", "We cannot read this kind of document by machine; a person will look at it."),
        _open("DOC_EXPIRY_UNKNOWN", "We could not tell until when your document is valid; a person will look at it."),
        _generic("DOC_COUNTRY_MISMATCH"),
        _generic("DOC_ISSUER_UNKNOWN"),
        _generic("DOC_AUTHENTICITY_FAIL", tips_off=True),
        _generic("DOC_LOST_OR_STOLEN", tips_off=True),
        _generic("DOC_DATA_MISMATCH"),
        _silent("DOC_MINOR_MISMATCH"),
        # The machine-readable zone (ICAO Doc 9303)
        _open("MRZ_NOT_FOUND", "We could not find the lines of letters at the edge of the document.", retryable=True),
        _open("MRZ_FORMAT", "We could not read the lines of letters at the edge of the document.", retryable=True),
        _open("MRZ_CHECK_DIGIT", "Some letters of the document could not be read with certainty.", retryable=True),
        _open("MRZ_AMBIGUOUS", "Some letters of the document could not be read with certainty.", retryable=True),
        _generic("MRZ_REPAIRED"),
        # The printed text against the zone, and one side of a card against the other
        _generic("DATA_NAME_INCONSISTENT"),
        _generic("DATA_DOB_INCONSISTENT"),
        _generic("DATA_NUMBER_INCONSISTENT"),
        _generic("DATA_EXPIRY_INCONSISTENT"),
        _generic("DATA_NATIONALITY_INCONSISTENT"),
        _generic("DOC_SIDES_DIFFER"),
        _generic("DOC_PORTRAIT_NOT_FOUND"),
        # Proof of address
        _open("DOC_TOO_OLD", "This document is too old. Please send one of the last three months.", retryable=True),
        _open("DOC_DATE_NOT_FOUND", "We could not find the date of this document; a person will look at it."),
        _generic("DATA_ADDRESS_MISMATCH"),
        _open("DATA_ADDRESS_MISSING", "Please tell us your address."),
        # The barcode (AAMVA DL/ID)
        _generic("BARCODE_INCONSISTENT"),
        # What was declared against what was read
        _generic("DATA_NAME_MISMATCH"),
        _generic("DATA_DOB_MISMATCH"),
        _generic("DATA_NUMBER_MISMATCH"),
        _generic("DATA_NATIONALITY_MISMATCH"),
        _generic("DATA_SEX_MISMATCH"),
        _generic("DATA_DOB_MISSING"),
        _generic("DATA_DOB_INVALID"),
        # Documents that another person has shown
        _generic("DUPLICATE_IMAGE"),
        _generic("DUPLICATE_DOCUMENT"),
        _generic("DUPLICATE_FACE"),
        # The person
        _open("ID_MISSING_NAME", "Please give us your full legal name."),
        _open("ID_MISSING_DOB", "Please give us your date of birth."),
        _open("AGE_BELOW_MINIMUM", "You must be at least 18 to open this account."),
        _generic("AGE_IMPLAUSIBLE"),
        _open("FACE_NOT_FOUND", "We could not find your face in the picture. Please take another one.", retryable=True),
        _open("FACE_MULTIPLE", "There is more than one face. Please take a picture of yourself alone.", retryable=True),
        _open("FACE_CONSENT_MISSING", "You did not agree to a comparison by machine; a person will look at it."),
        _silent("FACE_MATCHING_OFF"),
        _generic("FACE_GHOST_MISMATCH", tips_off=True),
        _generic("FACE_SAME_PICTURE", tips_off=True),
        _generic("FACE_MISMATCH"),
        _generic("FACE_UNCLEAR"),
        _silent("LIVENESS_NOT_PERFORMED"),
        _generic("SANCTIONS_POSSIBLE_MATCH", tips_off=True),
        _generic("SANCTIONS_CONFIRMED", tips_off=True),
        _generic("SCREENING_UNAVAILABLE"),
        _generic("SUSPICION_RAISED", tips_off=True),
        # The vendors
        _generic("VENDOR_UNAVAILABLE"),
        _generic("VENDOR_TIMEOUT"),
        _generic("VENDOR_FAULT"),
        _generic("VENDOR_UNSUPPORTED"),
        _generic("VENDOR_UNKNOWN_CODE"),
        _silent("ENGINE_NOT_INSTALLED"),
        _generic("ANALYSIS_FAILED"),
        # The course of the application
        _open("CASE_RESUBMISSION_LIMIT", "The document could not be read in any of the pictures that were sent."),
        _open("CASE_RESUBMISSION_EXPIRED", "No new picture arrived in time."),
        _open("CASE_ABANDONED", "The application was not completed in time."),
        _open("CASE_REVIEW_REJECTED", "We can't offer you this service. You can ask a person to look at it again."),
        _silent("CASE_REVIEW_APPROVED"),
        _silent("SANCTIONS_OTHER_PERSON"),
        _silent("OK_VERIFIED"),
    )
}


def applicant_texts(codes: Iterable[str]) -> tuple[str, ...]:
    """What an applicant may read about *codes*: one generic sentence as soon as any of them must not be told."""
    reasons = [REASONS.get(code, _generic(code)) for code in codes]
    if any(reason.tips_off for reason in reasons):
        return (GENERIC_TEXT,)
    shown = dict.fromkeys(
        reason.text if reason.disclosure is Disclosure.OPEN else GENERIC_TEXT
        for reason in reasons
        if reason.disclosure is not Disclosure.SILENT
    )
    return tuple(shown)
