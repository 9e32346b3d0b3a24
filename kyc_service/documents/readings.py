"""What the engine found in one picture. Pure: this is what crosses from the engine's processes to the service."""

from kyc_service.documents.decipher import Deciphered
from kyc_service.domain.record import record


@record
class Seconds:
    """What one stage of a reading cost."""

    stage: str
    wall: float
    processor: float


@record
class Reading:
    """What a picture says. `refused`: the reason code of a picture that could not be used at all."""

    refused: str | None = None
    page: int = 1  # of a file with several, the one that is told
    width: int = 0
    height: int = 0
    sharpness: float = 0.0
    lines_of_text: int = 0
    zone: Deciphered | None = None
    seconds: tuple[Seconds, ...] = ()
