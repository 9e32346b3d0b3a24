"""What the headers of a request ask for."""

import re

from starlette.requests import Request

from kyc_service.api.problems import Fault, Refused

LONGEST_WAIT = 30.0
KEY = re.compile(r"[\x21-\x7e]{1,255}")
QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
ESCAPED = re.compile(r'\\(["\\])')
TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
TAGS = re.compile(rf"\s*(?:{TAG.pattern})?\s*(?:,\s*(?:{TAG.pattern})?\s*)*")
VERSION = re.compile(r"v([1-9][0-9]{0,8})")
WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,6})"?\s*(?=$|[,;])', re.IGNORECASE)
NO_VERSION = 0  # no application is ever at it


def idempotency_key(request: Request) -> str | None:
    """The key under which the request may be repeated; the quotes of a structured field are no part of it.

    Raises:
        Refused: it is empty, too long, or has other characters than visible ASCII.
    """
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    quoted = QUOTED.fullmatch(given)
    key = ESCAPED.sub(r"\1", quoted[1]) if quoted else given
    if not KEY.fullmatch(key) or (not quoted and key.startswith('"')):
        fault = Fault(header="Idempotency-Key", code="pattern", detail="1 to 255 visible ASCII characters.")
        raise Refused("idempotency_key_invalid", fault)
    return key


def wait(request: Request) -> float:
    """For how many seconds the client prefers to wait for the outcome (RFC 7240); a preference is never an error."""
    given = request.headers.getlist("prefer")
    found = WAIT.search(",".join(given)) if given else None
    return min(float(found[1]), LONGEST_WAIT) if found else 0.0


def tag(version: int) -> str:
    """The entity tag of an application at *version*."""
    return f'"v{version}"'


def expected_versions(request: Request) -> frozenset[int] | None:
    """The versions of `If-Match`, by strong comparison; None: whatever it is. Foreign tags match nothing."""
    given = ",".join(request.headers.getlist("if-match")).strip()
    if not given or given == "*":
        return None
    if not TAGS.fullmatch(given):
        return frozenset({NO_VERSION})
    versions = [VERSION.fullmatch(value) for weak, value in TAG.findall(given) if not weak]
    return frozenset(int(version[1]) for version in versions if version) or frozenset({NO_VERSION})


def unchanged(request: Request, current: str) -> bool:
    """Whether `If-None-Match` says that the client already has *current*, by weak comparison."""
    given = ",".join(request.headers.getlist("if-none-match")).strip()
    if not given:
        return False
    return given == "*" or any(f'"{value}"' == current for _, value in TAG.findall(given))


def media_type(request: Request) -> str:
    """The type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def preferred(request: Request, *offered: str) -> str | None:
    """Which of the *offered* media types the client likes best; the first one when it likes several alike."""
    accepted = _accepted(",".join(request.headers.getlist("accept")))
    if not accepted:
        return offered[0]
    liked = [(_quality(accepted, media), -place, media) for place, media in enumerate(offered)]
    quality, _, media = max(liked)
    return media if quality > 0 else None


def _accepted(header: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if not name:
            continue
        weights = [piece[2:] for piece in parameters if piece.startswith("q=")]
        found[name] = _weight(weights[0]) if weights else 1.0
    return found


def _weight(text: str) -> float:
    return float(text) if re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", text) else 0.0


def _quality(accepted: dict[str, float], media: str) -> float:
    """The most specific range decides (RFC 9110 section 12.5.1)."""
    ranges = (media, media.partition("/")[0] + "/*", "*/*")
    return next((accepted[name] for name in ranges if name in accepted), 0.0)
