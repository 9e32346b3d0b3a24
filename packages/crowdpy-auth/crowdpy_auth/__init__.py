"""CrowdPayAuth: bearer tokens for the clients of httpx and httpx2, synchronous and asynchronous."""

from crowdpy_auth.auth import CrowdPayAuth
from crowdpy_auth.tokens import TokenError

__all__ = ["CrowdPayAuth", "TokenError"]
