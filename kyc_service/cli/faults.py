"""Faults that can be foreseen, in one sentence; anything else keeps its traceback."""

from kyc_service.access.development import DevelopmentKeyRefused
from kyc_service.access.policy import PolicyRefused
from kyc_service.access.principal import AuthError
from kyc_service.privacy.sealing import PrivacyError
from kyc_service.store.pg_cluster import EmbeddedServerUnavailable

FORESEEN = (DevelopmentKeyRefused, PolicyRefused, AuthError, PrivacyError, EmbeddedServerUnavailable)


def sentence_of(error: Exception) -> str | None:
    """What to tell the operator, or None for a fault of our own."""
    if not isinstance(error, FORESEEN):
        return None
    return str(error) or (type(error).__doc__ or type(error).__name__).splitlines()[0]
