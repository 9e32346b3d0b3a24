"""Who may do what: the matrix, the Rego tests on every engine at hand, and the refusals of the loader."""

from __future__ import annotations

import importlib
import json
import re
import threading
from itertools import product
from typing import TYPE_CHECKING, Protocol

import pytest
import regorus

from kyc_service.access.policy import (
    POLICIES,
    Bundle,
    Decision,
    PolicyRefused,
    Question,
    RegoPolicy,
    read_bundle,
)
from kyc_service.access.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

ACTIONS = (
    "application.submit",
    "application.read",
    "application.list",
    "application.search",
    "application.amend",
    "application.history",
    "application.review",
    "file.upload",
    "file.read",
    "file.download",
    "screening.search",
    "screening.read",
    "screening.decide",
)
# Written by hand, and not read from the data: this is what the business agreed to.
MATRIX = {
    #              submit read list search amend history review upload meta download ask hits decide
    "submitter": (1, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0),
    "reader": (0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "reviewer": (0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0),
    "compliance": (0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1),
    "auditor": (0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0),
    "stranger": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
}
ALLOWED = {(role, action) for role, row in MATRIX.items() for action, may in zip(ACTIONS, row, strict=True) if may}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle()


@pytest.fixture
def policy(bundle: Bundle) -> RegoPolicy:
    return RegoPolicy(bundle)


def asks(roles: Collection[str], action: str, resource_tenant: str = "acme") -> Question:
    principal = Principal(tenant="acme", client="shop", subject="alice", roles=frozenset(roles))
    return Question(principal=principal, action=action, resource_tenant=resource_tenant)


def one_module(*rules: str) -> Bundle:
    text = "\n".join(("package kyc.authz", "import rego.v1", *rules))
    return Bundle(modules=(("one.rego", text),), data="{}")


DENY = 'decision := {"allow": false, "reason": "no"}'


class TestDecisions:
    @pytest.mark.parametrize(("role", "action"), list(product(MATRIX, ACTIONS)))
    def test_a_role_may_do_what_was_agreed(self, role: str, action: str, policy: RegoPolicy) -> None:
        allowed = (role, action) in ALLOWED
        expected = Decision(allow=allowed, reason=None if allowed else "role_missing", revision=policy.revision)
        assert policy.decide(asks([role], action)) == expected

    @pytest.mark.parametrize(("role", "action"), list(product(MATRIX, ACTIONS)))
    def test_nobody_acts_in_another_tenant(self, role: str, action: str, policy: RegoPolicy) -> None:
        denied = Decision(allow=False, reason="cross_tenant", revision=policy.revision)
        assert policy.decide(asks([role], action, resource_tenant="other")) == denied

    def test_a_remembered_yes_is_not_given_to_another_tenant(self, policy: RegoPolicy) -> None:
        asked = [policy.decide(asks(["reader"], "application.read", tenant)) for tenant in ("acme", "other", "acme")]
        assert [decision.allow for decision in asked] == [True, False, True]

    def test_roles_add_up(self, policy: RegoPolicy) -> None:
        assert policy.decide(asks(["reader", "submitter"], "file.upload")).allow

    @pytest.mark.parametrize("action", ["", "application", "application.destroy", "APPLICATION.READ", "data", "\x00"])
    def test_an_action_that_nobody_named_is_denied(self, action: str, policy: RegoPolicy) -> None:
        denied = Decision(allow=False, reason="unknown_action", revision=policy.revision)
        assert policy.decide(asks(list(MATRIX), action)) == denied

    def test_the_same_question_is_evaluated_once(self, policy: RegoPolicy) -> None:
        for tenant in ("one", "two", "three"):
            principal = Principal(tenant=tenant, client=tenant, subject=tenant, roles=frozenset({"reader"}))
            policy.decide(Question(principal=principal, action="application.read", resource_tenant=tenant))
        assert policy._evaluate.cache_info().misses == 1

    def test_every_thread_gets_the_same_answer(self, policy: RegoPolicy) -> None:
        answers: list[bool] = []

        def ask(action: str) -> None:
            answers.append(policy.decide(asks(["reviewer"], action)).allow)

        threads = [threading.Thread(target=ask, args=(action,)) for action in ACTIONS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == sorted(bool(may) for may in MATRIX["reviewer"])

    def test_a_policy_may_be_dropped_while_another_thread_still_has_its_engine(self, bundle: Bundle) -> None:
        asked, dropped = threading.Event(), threading.Event()
        policies = [RegoPolicy(bundle)]

        def ask() -> None:
            policies[0].decide(asks(["reader"], "application.amend"))
            asked.set()
            dropped.wait(20)

        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(20)
        policies.clear()  # an engine that is dropped here, and not there, raises where nobody can catch it
        dropped.set()
        thread.join()
        assert policies == []

    def test_two_policies_in_one_thread_do_not_mix(self, policy: RegoPolicy) -> None:
        closed = RegoPolicy(one_module(DENY))
        question = asks(["reader"], "application.read")
        assert [p.decide(question).allow for p in (policy, closed, policy, closed)] == [True, False, True, False]


class TestFailingClosed:
    def test_an_engine_that_fails_denies(self) -> None:
        conflicting = one_module(
            'decision := {"allow": false, "reason": "no"} if { input.action == "" }',
            'decision := {"allow": true, "reason": null} if { input.action == "go" }',
            'decision := {"allow": false, "reason": "no"} if { input.action == "go" }',
        )
        policy = RegoPolicy(conflicting)
        denied = Decision(allow=False, reason="policy_failed", revision=policy.revision)
        assert policy.decide(asks([], "go")) == denied

    @pytest.mark.parametrize(
        "answer",
        [
            "true",
            '{"allow": 1, "reason": null}',
            '{"allow": "true", "reason": null}',
            '{"allow": true, "reason": "but"}',
            '{"allow": true}',
            '{"allow": false}',
            '[{"allow": true, "reason": null}]',
        ],
    )
    def test_an_answer_of_another_shape_denies(self, answer: str) -> None:
        policy = RegoPolicy(
            one_module(
                f'decision := {answer} if {{ input.action == "go" }}',
                'decision := {"allow": false, "reason": "no"} if { input.action == "" }',
            )
        )
        assert policy.decide(asks([], "go")).reason == "policy_failed"

    def test_no_answer_denies(self) -> None:
        policy = RegoPolicy(one_module('decision := {"allow": false, "reason": "no"} if { input.action == "" }'))
        assert policy.decide(asks([], "go")).reason == "policy_failed"

    def test_a_failure_is_not_remembered(self) -> None:
        policy = RegoPolicy(one_module('decision := {"allow": false, "reason": "no"} if { input.action == "" }'))
        for _ in range(2):
            policy.decide(asks([], "go"))
        assert policy._evaluate.cache_info().currsize == 0


class TestLoading:
    @pytest.mark.parametrize(
        ("rule", "fault"),
        [
            ('ok if { not http.send({"url": "https://evil.example"}) }', "calls http.send"),
            ("ok if { data.kyc[http.send({})] }", "calls http.send"),
            ("ok := [x | some x in http.send({})]", "calls http.send"),
            ('ok := {"deep": {"er": http.send({})}}', "calls http.send"),
            ("ok if { every x in [1] { http.send({}) == x } }", "calls http.send"),
            ("ok if { false } else := http.send({})", "calls http.send"),
            ("default ok := http.send({})", "calls http.send"),
            ('ok if { http["send"]({}) }', "calls a computed name"),
            ("http.send(x) := x\nok := http.send({})", "calls http.send"),
            ('ok := crypto.sha256("x")', "calls crypto.sha256"),
            ('ok := io.jwt.decode("x")', "calls io.jwt.decode"),
            ("ok := opa.runtime()", "calls opa.runtime"),
            ("ok := time.now_ns()", "calls time.now_ns"),
            ('ok := rand.intn("x", 3)', "calls rand.intn"),
            ('ok := {"a": 1} if { object.union({}, {}) }', "calls object.union"),
            ("ok if { input.x with input as {} }", "uses with"),
            ("f(x) := f(x)\nok := f(1)", "circle: data.kyc.authz.f"),
            ("f(x) := g(x)\ng(x) := data.kyc.authz.f(x)", "circle: data.kyc.authz.f, data.kyc.authz.g"),
        ],
    )
    def test_a_policy_outside_the_portable_part_is_refused(self, rule: str, fault: str) -> None:
        with pytest.raises(PolicyRefused, match=re.escape(fault)):
            RegoPolicy(one_module(DENY, rule))

    @pytest.mark.parametrize(
        "rule",
        [
            'ok if { startswith(lower("A"), "a"); count([1]) == 1 }',
            "f(x) := x + 1\nok := f(1)",
            "f(x) := x + 1\nok := data.kyc.authz.f(1)",
            "f(x) := g(x)\ng(x) := count(x)\nok := f([])",
        ],
    )
    def test_a_policy_within_the_portable_part_is_served(self, rule: str) -> None:
        assert RegoPolicy(one_module(DENY, rule)).decide(asks([], "x")).reason == "no"

    @pytest.mark.parametrize(
        "bundle",
        [
            one_module(),
            one_module("decision := {"),
            one_module('decision := {"allow": data.kyc.authz.decision.allow, "reason": "no"}'),
            one_module('decision := {"allow": true, "reason": null}'),
            Bundle(modules=one_module(DENY).modules, data="{nope"),
            Bundle(modules=one_module(DENY).modules, data="[]"),
            Bundle(modules=(("other.rego", "package other"),), data="{}"),
        ],
        ids=["no rule", "syntax", "circular", "open to all", "broken data", "listed data", "other package"],
    )
    def test_a_policy_that_cannot_decide_is_refused_at_the_start(self, bundle: Bundle) -> None:
        with pytest.raises(PolicyRefused):
            RegoPolicy(bundle)

    def test_a_refusal_names_the_place_and_not_the_stack(self) -> None:
        with pytest.raises(PolicyRefused) as caught:
            RegoPolicy(one_module(DENY, "ok := http.send({})"))
        assert str(caught.value) == "one.rego:4: calls http.send"

    def test_a_folder_without_policies_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(PolicyRefused):
            read_bundle(tmp_path)
        (tmp_path / "data.json").write_text("{}")
        (tmp_path / "kyc_test.rego").write_text("package kyc.authz_test")
        with pytest.raises(PolicyRefused, match="no policies"):
            read_bundle(tmp_path)

    def test_tests_are_not_served(self, bundle: Bundle) -> None:
        assert [name for name, _ in bundle.modules] == ["kyc.rego"]

    def test_every_change_is_another_revision(self, bundle: Bundle) -> None:
        [(name, text)] = bundle.modules
        variants = [
            bundle,
            Bundle(modules=bundle.modules, data=bundle.data + " "),
            Bundle(modules=((name, text + " "),), data=bundle.data),
            Bundle(modules=(("renamed.rego", text),), data=bundle.data),
        ]
        assert len({variant.revision for variant in variants}) == len(variants)
        assert read_bundle().revision == bundle.revision


# ── the Rego tests, on every engine at hand ──────────────────────────────────────────


class Oracle(Protocol):
    """An engine with the policies, their tests and their data."""

    def value(self, rule: str, given: Mapping[str, object] | None = None) -> object:
        """What *rule* is worth; None when it is undefined."""
        ...

    def uncovered(self) -> Sequence[tuple[str, int]]:
        """The lines of the served policies that no evaluation so far has reached."""
        ...


class Regorus:
    """The engine that is served."""

    def __init__(self, files: Sequence[Path], data: str) -> None:
        self._engine = regorus.Engine()
        for path in files:
            self._engine.add_policy(path.name, path.read_text())
        self._engine.add_data_json(data)
        self._engine.set_enable_coverage(True)

    def value(self, rule: str, given: Mapping[str, object] | None = None) -> object:
        self._engine.set_input(given or {})
        found: object = self._engine.eval_rule(f"data.{rule}")
        return found

    def uncovered(self) -> Sequence[tuple[str, int]]:
        report = json.loads(self._engine.get_coverage_report_as_json())
        return [
            (file["path"], line)
            for file in report["files"]
            if not file["path"].endswith("_test.rego")
            for line in file["not_covered"]
        ]


class Opa:
    """OPA's own engine, as the measure of what Rego means."""

    def __init__(self, files: Sequence[Path], data: str) -> None:
        bindings = importlib.import_module("opa_bindings")
        self._undefined: type[Exception] = importlib.import_module("opa_bindings.engine").OpaUndefinedError
        self._engine = bindings.OpaEngine()
        for path in files:
            self._engine.add_policy(path.name, path.read_text())
        self._engine.add_data(json.loads(data))
        self._covered: set[tuple[str, int]] = set()
        self._missed: set[tuple[str, int]] = set()

    def value(self, rule: str, given: Mapping[str, object] | None = None) -> object:
        try:
            found: object = self._engine.eval_document(rule, given or {}, coverage=True)
        except self._undefined:
            found = None
        for file, report in (self._engine.last_coverage or {}).get("files", {}).items():
            for kind, lines in (("covered", self._covered), ("not_covered", self._missed)):
                for span in report.get(kind) or []:
                    lines.update((file, row) for row in range(span["start"]["row"], span["end"]["row"] + 1))
        return found

    def uncovered(self) -> Sequence[tuple[str, int]]:
        return sorted(line for line in self._missed - self._covered if not line[0].endswith("_test.rego"))


ENGINES: Mapping[str, Callable[[Sequence[Path], str], Oracle]] = {"regorus": Regorus, "opa": Opa}
FILES = sorted(POLICIES.glob("*.rego"))
RULES = [
    f"{package}.{rule}"
    for path in FILES
    for package in re.findall(r"^package ([\w.]+)", path.read_text(), re.MULTILINE)
    for rule in re.findall(r"^(test_\w+)", path.read_text(), re.MULTILINE)
]


@pytest.fixture(params=ENGINES)
def oracle(request: pytest.FixtureRequest) -> Oracle:
    name: str = request.param
    if name == "opa":
        pytest.importorskip("opa_bindings", reason="OPA's engine (opa-golib-python-bindings) is not installed")
    return ENGINES[name](FILES, (POLICIES / "data.json").read_text())


def test_there_are_rego_tests_and_each_has_its_own_name() -> None:
    assert len(RULES) == len(set(RULES)) >= 15


@pytest.mark.parametrize("rule", RULES)
def test_a_rego_test_holds(rule: str, oracle: Oracle) -> None:
    assert oracle.value(rule) is True


def test_every_line_of_the_policies_is_reached_by_their_tests(oracle: Oracle) -> None:
    for rule in RULES:
        oracle.value(rule)
    assert list(oracle.uncovered()) == []


def test_every_engine_decides_the_whole_matrix_alike(oracle: Oracle, policy: RegoPolicy) -> None:
    differing = []
    for roles, action, tenant in product(
        ([], *([role] for role in MATRIX), list(MATRIX)), (*ACTIONS, "unknown"), ("acme", "other")
    ):
        served = policy.decide(asks(roles, action, tenant))
        given = {"action": action, "roles": sorted(roles), "same_tenant": tenant == "acme"}
        if oracle.value("kyc.authz.decision", given) != {"allow": served.allow, "reason": served.reason}:
            differing.append((roles, action, tenant))
    assert differing == []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"action": "application.read", "roles": ["reader"]},
        {"action": "application.read", "same_tenant": True},
        {"roles": ["reader"], "same_tenant": True},
        {"action": "application.read", "roles": ["reader"], "same_tenant": "true"},
        {"action": "application.read", "roles": ["reader"], "same_tenant": None},
        {"action": "application.read", "roles": [["reader"]], "same_tenant": True},
        {"action": ["application.read"], "roles": ["reader"], "same_tenant": True},
        {"action": "application.read", "roles": {"reader": True}, "same_tenant": True},
    ],
    ids=str,
)
def test_a_question_that_is_not_whole_is_denied_by_every_engine(given: Mapping[str, object], oracle: Oracle) -> None:
    assert oracle.value("kyc.authz.allow", given) is False
