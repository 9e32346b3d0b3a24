"""The policy decision point: may this principal do this? The rules are Rego, in the folder beside this module.

Every doubt is a no: an engine that fails, a rule without a value and a reply of the wrong shape all deny.
"""

import json
import logging
import threading
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import regorus

from kyc_service.access.portable import faults, parse
from kyc_service.access.principal import Principal
from kyc_service.domain.record import record

POLICIES = Path(__file__).resolve().parent / "policies"
RULE = "data.kyc.authz.decision"
REMEMBERED_DECISIONS = 4096

log = logging.getLogger(__name__)


class PolicyRefused(Exception):
    """The policies cannot be served as they are; the service does not start without them."""


class PolicyFailed(Exception):
    """The engine gave no decision."""


@record
class Question:
    """May *principal* do *action* to something that belongs to *resource_tenant*?"""

    principal: Principal
    action: str
    resource_tenant: str


@record
class Decision:
    """The answer; `reason` is a code when it is no, `revision` says which policies gave it."""

    allow: bool
    reason: str | None
    revision: str


class PolicyEngine(Protocol):
    """Decides, and never raises: where there is no decision, the answer is no."""

    def decide(self, question: Question) -> Decision: ...


@record
class Bundle:
    """The policies as they were read: (file name, Rego text) in order, and the data as JSON text."""

    modules: tuple[tuple[str, str], ...]
    data: str

    @property
    def revision(self) -> str:
        """The digest of everything that can change a decision."""
        return sha256(json.dumps([self.modules, self.data]).encode()).hexdigest()


def read_bundle(folder: Path = POLICIES) -> Bundle:
    """The policies in *folder*, without their tests."""
    try:
        modules = tuple(
            (path.name, path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*.rego"))
            if not path.stem.endswith("_test")
        )
        data = (folder / "data.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyRefused(f"the policies in {folder} cannot be read") from error
    if not modules:
        raise PolicyRefused(f"there are no policies in {folder}")
    return Bundle(modules=modules, data=data)


class RegoPolicy:
    """Decides with regorus inside the process: microseconds, and nothing to be reached over a network.

    The engine is told the action, the roles and whether the tenants are the same, which is also the key under which a
    decision is remembered: a remembered decision can never be wider than a fresh one.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.revision = bundle.revision
        self._bundle = bundle
        self._evaluate = lru_cache(REMEMBERED_DECISIONS)(self._evaluated)
        self._refuse_unservable()

    def decide(self, question: Question) -> Decision:
        principal = question.principal
        try:
            return self._evaluate(principal.tenant == question.resource_tenant, principal.roles, question.action)
        except PolicyFailed as error:
            log.warning("no policy decision on %s: %s", question.action, error)
            return Decision(allow=False, reason="policy_failed", revision=self.revision)

    def _evaluated(self, same_tenant: bool, roles: frozenset[str], action: str) -> Decision:
        given = {"action": action, "roles": sorted(roles), "same_tenant": same_tenant}
        try:
            engine = _engine(self._bundle, self.revision)
            engine.set_input(given)
            answer: object = engine.eval_rule(RULE)
        except (RuntimeError, ValueError, TypeError) as error:
            raise PolicyFailed(_first_line(error)) from error
        match answer:
            case {"allow": True, "reason": None}:
                return Decision(allow=True, reason=None, revision=self.revision)
            case {"allow": False, "reason": str(reason)}:
                return Decision(allow=False, reason=reason, revision=self.revision)
            case _:
                raise PolicyFailed("the decision is undefined or has another shape")

    def _refuse_unservable(self) -> None:
        try:
            engine = _engine(self._bundle, self.revision)
        except (RuntimeError, ValueError) as error:
            raise PolicyRefused(_first_line(error)) from error
        if found := faults(parse(engine.get_ast_as_json())):
            raise PolicyRefused("; ".join(found))
        try:
            nobody = self._evaluated(same_tenant=True, roles=frozenset(), action="")
        except PolicyFailed as error:
            raise PolicyRefused(f"{RULE} does not decide: {error}") from error
        if nobody.allow:
            raise PolicyRefused("somebody without any role may do an action without any name")


class _Engines(threading.local):
    """The engine of each thread, which keeps it: an engine may be used, and even dropped, only where it was made."""

    revision: str | None = None
    engine: regorus.Engine | None = None


_ENGINES = _Engines()


def _engine(bundle: Bundle, revision: str) -> regorus.Engine:
    if _ENGINES.engine is None or _ENGINES.revision != revision:
        engine = regorus.Engine()
        for name, text in bundle.modules:
            engine.add_policy(name, text)
        engine.add_data_json(bundle.data)
        _ENGINES.engine, _ENGINES.revision = engine, revision
    return _ENGINES.engine


def _first_line(error: Exception) -> str:
    """What the engine says, without the drawing and the stack that follow it."""
    said = str(error).split("Stack backtrace", maxsplit=1)[0]
    return next(
        (line.strip() for line in said.splitlines() if "error" in line), said.strip().split("\n", maxsplit=1)[0]
    )
