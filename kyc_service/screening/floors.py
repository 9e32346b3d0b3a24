"""What the model may not decide alone: policy, in words that an auditor can check."""

from enum import StrEnum
from typing import Final

from kyc_service.screening.births import BirthVerdict


class Floor(StrEnum):
    """Why a probability was lifted, or held down."""

    IDENTIFIER = "identifier"  # a number that identifies is the same
    EXACT_NAME = "exact_name"  # the whole name is the same and no full date of birth contradicts
    UNSUPPORTED = "unsupported"  # a weak alias or a single name, with neither date nor country to support it


IDENTIFIER_FLOOR: Final = 0.99
EXACT_NAME_FLOOR: Final = 0.75
UNSUPPORTED_CEILING: Final = 0.45
_SUPPORTING: Final = frozenset({BirthVerdict.SAME, BirthVerdict.COMPATIBLE, BirthVerdict.SWAPPED, BirthVerdict.NEAR})


def floored(
    probability: float,
    *,
    identifier: bool,
    exact: bool,
    slender: bool,
    born: BirthVerdict,
    country_same: bool,
) -> tuple[float, Floor | None]:
    """The probability after policy, and the policy that changed it.

    *exact*: the names have the same tokens, two or more. *slender*: what matches is a weak alias or a single token.
    """
    if identifier:
        return max(probability, IDENTIFIER_FLOOR), Floor.IDENTIFIER
    contradicted = born in {BirthVerdict.APART, BirthVerdict.FAR}
    if slender:
        supported = country_same or born in {
            BirthVerdict.SAME,
            BirthVerdict.COMPATIBLE,
            BirthVerdict.SWAPPED,
            BirthVerdict.NEAR,
        }
        if not supported and probability > UNSUPPORTED_CEILING:
            return UNSUPPORTED_CEILING, Floor.UNSUPPORTED
        return probability, None
    if exact and not contradicted and probability < EXACT_NAME_FLOOR:
        return EXACT_NAME_FLOOR, Floor.EXACT_NAME
    return probability, None
