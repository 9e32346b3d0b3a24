"""Why a file is not looked at: each refusal has a reason code that the applicant can act upon. Pure."""


class FileRefused(Exception):
    """The file could not be used."""

    reason = "IMAGE_UNDECODABLE"


class KindUnknown(FileRefused):
    """The file is of none of the kinds that are taken in."""

    reason = "FILE_TYPE_MISMATCH"


class WrongMediaType(FileRefused):
    """The file is not of the kind that it was said to be."""

    reason = "FILE_TYPE_MISMATCH"


class Damaged(FileRefused):
    """The file begins as its kind does and cannot be decoded."""


class TooManyPixels(FileRefused):
    """The picture has more pixels than are looked at."""

    reason = "IMAGE_TOO_LARGE"


class TooFewPixels(FileRefused):
    """The picture has too few pixels to read letters in it."""

    reason = "IMAGE_TOO_SMALL"


class TrailingData(FileRefused):
    """Something follows where the file should end."""

    reason = "FILE_TRAILING_DATA"


class Polyglot(FileRefused):
    """The file is a file of another kind as well."""

    reason = "FILE_POLYGLOT"


class Bomb(FileRefused):
    """A small file unpacks to far more than a document needs."""

    reason = "FILE_BOMB"


class Animated(FileRefused):
    """The file holds moving pictures."""

    reason = "FILE_ANIMATED"


class Encrypted(FileRefused):
    """The file is protected by a password."""

    reason = "FILE_ENCRYPTED"


class ActiveContent(FileRefused):
    """The file holds a programme, or an action that would start or send something."""

    reason = "FILE_ACTIVE_CONTENT"


class Attachment(FileRefused):
    """The file carries other files."""

    reason = "FILE_ATTACHMENT"


class TooManyPages(FileRefused):
    """The file has more pages than a document has."""

    reason = "FILE_TOO_MANY_PAGES"


class Uninspectable(FileRefused):
    """The file is built in a way that cannot be inspected, so it is not opened."""

    reason = "FILE_UNINSPECTABLE"
