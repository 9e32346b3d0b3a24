"""No change of a message breaks its readers, or the messages that were sent before."""

import copy
import json
from collections.abc import Mapping

import jsonschema  # type: ignore[import-untyped]  # it has no stubs here
import pytest
from crowdpay_contracts.compatibility import UnresolvableReference, incompatibilities
from crowdpay_contracts.schemas import Schema, load
from hypothesis import given, settings
from hypothesis import strategies as st

PERSON: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 9, "pattern": "^[a-z]+$"},
        "born": {"type": "string", "format": "date"},
        "age": {"type": "integer", "minimum": 18, "maximum": 120},
        "role": {"enum": ["payer", "payee"]},
        "kind": {"const": "person"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "home": {"$ref": "#/$defs/Address"},
        "phone": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["name", "home"],
    "$defs": {
        "Address": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "Place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
REMOVED = object()


def changed(schema: Schema, *changes: tuple[str, object]) -> Schema:
    """*schema* with the value at each path replaced, added or REMOVED."""
    result = copy.deepcopy(dict(schema))
    for path, value in changes:
        *way, last = path.split("/")
        target = result
        for step in way:
            target = target[step]  # type: ignore[assignment]  # the paths below lead through objects
        if value is REMOVED:
            del target[last]
        else:
            target[last] = value
    return result


BREAKING: Mapping[str, tuple[tuple[str, object], str]] = {
    "a removed property": (("properties/born", REMOVED), "#/properties/born: was removed"),
    "a newly required property": (("required", ["name", "home", "age"]), "#/properties/age: is required now"),
    "a property no longer required": (("required", ["name"]), "#/properties/home: is no longer required"),
    "another type": (("properties/age/type", "string"), "#/properties/age: type changed from integer to string"),
    "a wider type": (("properties/age/type", "number"), "#/properties/age: type changed from integer to number"),
    "a nullable type": (("properties/born/type", ["string", "null"]), "type changed from string to null or string"),
    "no type": (("properties/age/type", REMOVED), "#/properties/age: type changed from integer to anything"),
    "a removed value": (("properties/role/enum", ["payer"]), "#/properties/role: value 'payee' was removed"),
    "an added value": (("properties/role/enum", ["payer", "payee", "both"]), "value 'both' was added"),
    "another constant": (("properties/kind/const", "company"), "#/properties/kind: value 'person' was removed"),
    "no constant": (("properties/kind/const", REMOVED), "#/properties/kind: any value is allowed now"),
    "a constant outside of a list": (("properties/kind/enum", ["company"]), "value 'person' was removed"),
    "a first constant": (("properties/age/const", 18), "#/properties/age: only some values are allowed now"),
    "a longer minimum": (("properties/name/minLength", 3), "minLength was narrowed from 2 to 3"),
    "a shorter maximum": (("properties/name/maxLength", 8), "maxLength was narrowed from 9 to 8"),
    "a longer maximum": (("properties/name/maxLength", 10), "maxLength was widened from 9 to 10"),
    "a first bound": (("properties/born/maxLength", 10), "#/properties/born: maxLength was narrowed from None to 10"),
    "a lifted bound": (("properties/age/maximum", REMOVED), "#/properties/age: maximum was widened from 120 to None"),
    "a higher minimum": (("properties/age/minimum", 21), "#/properties/age: minimum was narrowed from 18 to 21"),
    "fewer elements": (("properties/tags/maxItems", 5), "#/properties/tags: maxItems was narrowed from None to 5"),
    "another format": (("properties/born/format", "date-time"), "format changed from 'date' to 'date-time'"),
    "no format": (("properties/born/format", REMOVED), "#/properties/born: format was removed"),
    "another pattern": (("properties/name/pattern", "^[A-Z]+$"), "#/properties/name: pattern changed"),
    "another uniqueness": (("properties/tags/uniqueItems", False), "#/properties/tags: uniqueItems changed"),
    "another default": (("properties/phone/default", ""), "#/properties/phone: default changed from None to ''"),
    "another target": (("properties/home/$ref", "#/$defs/Place"), "refers to '#/$defs/Place' instead"),
    "a change behind a reference": (("$defs/Address/required", []), "#/properties/home/properties/city: is no longer"),
    "other elements": (("properties/tags/items/type", "integer"), "#/properties/tags/items: type changed"),
    "elements of one kind": (
        ("properties/pair/items", {"type": "string"}),
        "#/properties/pair/items: changed from True",
    ),
    "fewer places": (("properties/pair/prefixItems", [{"type": "string"}]), "has 1 places instead of 2"),
    "another place": (
        ("properties/pair/prefixItems", [{}, {"type": "integer"}]),
        "#/properties/pair/prefixItems/0: type",
    ),
    "a closed object": (("additionalProperties", False), "#/additionalProperties: was tightened"),
    "a schema for the rest": (("additionalProperties", {"type": "string"}), "#/additionalProperties: was tightened"),
    "another schema for the rest": (
        ("properties/labels/additionalProperties", {"type": "integer"}),
        "#/properties/labels/additionalProperties: type changed",
    ),
    "an open rest": (("properties/labels/additionalProperties", True), "additionalProperties: was loosened"),
    "a property that the rest did not fit": (
        ("properties/labels/properties", {"count": {"type": "integer"}}),
        "#/properties/labels/properties/count: type changed from string to integer",
    ),
    "a removed alternative": (("properties/phone/anyOf", [{"type": "string"}]), "#/properties/phone/anyOf/null: was"),
    "an added alternative": (
        ("properties/phone/anyOf", [{"type": "string"}, {"type": "null"}, {"type": "integer"}]),
        "#/properties/phone/anyOf/integer: was added",
    ),
    "a changed alternative": (
        ("properties/phone/anyOf", [{"type": "string", "minLength": 1}, {"type": "null"}]),
        "#/properties/phone/anyOf/string: minLength was narrowed",
    ),
    "one more condition": (("allOf", [{"required": ["born"]}]), "#/allOf/0: was added"),
    "a refused form": (("not", {"required": ["age"]}), "#: not was added"),
    "names of a form": (("propertyNames", {"maxLength": 9}), "#: propertyNames was added"),
    "a property that nothing fits": (("properties/age", False), "#/properties/age: was replaced"),
    "a bound that is no number": (("properties/name/minLength", "two"), "minLength was narrowed from 2 to 'two'"),
    "an alternative without a name": (("oneOf", [True, {"const": 1}]), "#/oneOf/1: was added"),
    "another identity": (("$id", "urn:person:2"), "#: $id was added"),
}

COMPATIBLE: Mapping[str, tuple[str, object]] = {
    "a new property that may be missing": ("properties/nickname", {"type": "string"}),
    "a new definition": ("$defs/Street", {"type": "string"}),
    "an unused definition less": ("$defs/Place", REMOVED),
    "another description": ("description", "Someone."),
    "another title": ("properties/name/title", "Full name"),
    "another example": ("properties/name/examples", ["ada"]),
    "a deprecation": ("properties/name/deprecated", True),
    "another order of values": ("properties/role/enum", ["payee", "payer"]),
    "another order of requirements": ("required", ["home", "name"]),
    "another order of alternatives": ("properties/phone/anyOf", [{"type": "null"}, {"type": "string"}]),
    "a constant written as the only value": (
        "properties/kind",
        {"enum": ["person"]},
    ),
    "a type in a list of one": ("properties/age/type", ["integer"]),
    "a definition written in place": (
        "properties/home",
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ),
}


@pytest.mark.parametrize(("change", "finding"), BREAKING.values(), ids=list(BREAKING))
def test_a_breaking_change_is_found_and_named(change: tuple[str, object], finding: str) -> None:
    findings = incompatibilities(PERSON, changed(PERSON, change))
    assert any(finding in found for found in findings), findings


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=list(COMPATIBLE))
def test_a_harmless_change_passes(change: tuple[str, object]) -> None:
    assert incompatibilities(PERSON, changed(PERSON, change)) == []


def test_a_closed_object_takes_no_new_property() -> None:
    closed = changed(PERSON, ("additionalProperties", False))
    found = incompatibilities(closed, changed(closed, ("properties/nickname", {"type": "string"})))
    assert found == ["#/properties/nickname: was added, and older readers refuse properties that they do not know"]


def test_true_is_not_one() -> None:
    assert incompatibilities({"const": 1}, {"const": True}) != []
    assert incompatibilities({"enum": [True]}, {"enum": [1]}) != []


def test_every_change_is_found_not_only_the_first() -> None:
    worse = changed(PERSON, ("properties/born", REMOVED), ("properties/age/type", "string"))
    assert len(incompatibilities(PERSON, worse)) == 2


def test_what_stands_beside_a_reference_is_compared_too() -> None:
    home = {"$ref": "#/$defs/Address"}
    two_homes = changed(PERSON, ("properties/second", home))
    assert incompatibilities(two_homes, changed(two_homes, ("properties/second", home | {"minProperties": 2}))) == [
        "#/properties/second: minProperties was narrowed from None to 2"
    ]


def test_what_stands_beside_a_reference_does_not_hide_what_changed_behind_it() -> None:
    old = changed(PERSON, ("properties/home/required", ["city"]))
    assert incompatibilities(old, changed(old, ("$defs/Address/required", []))) == [
        "#/properties/home/properties/city: is no longer required"
    ]
    in_place: Schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city", "street"]}
    assert incompatibilities(changed(PERSON, ("properties/home", in_place)), old) != []


def test_schemas_that_contain_themselves_are_compared_once() -> None:
    node = {"type": "object", "properties": {"value": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}}}
    chain: Schema = {"$ref": "#/$defs/Node", "$defs": {"Node": node}}
    assert incompatibilities(chain, chain) == []
    assert incompatibilities(chain, changed(chain, ("$defs/Node/properties/value/type", "integer"))) == [
        "#/properties/value: type changed from string to integer"
    ]


@pytest.mark.parametrize("reference", ["#/$defs/Nobody", "https://elsewhere.example/schema.json", "#/$defs/Loop"])
def test_a_reference_that_leads_nowhere_is_an_error_and_not_a_pass(reference: str) -> None:
    dangling: Schema = {"$ref": reference, "$defs": {"Loop": {"$ref": "#/$defs/Loop"}}}
    with pytest.raises(UnresolvableReference):
        incompatibilities(dangling, dangling)


# ── our own messages ──────────────────────────────────────────────────────────────


def test_no_message_broke_since_the_last_release(released: Mapping[str, Schema], current: Mapping[str, Schema]) -> None:
    assert released.keys() <= current.keys()
    broken = {name: incompatibilities(schema, current[name]) for name, schema in released.items()}
    assert {name: findings for name, findings in broken.items() if findings} == {}


def test_the_baseline_holds_every_released_message(released: Mapping[str, Schema]) -> None:
    assert {"KycEvent", "KycApplication", "KycApplicationVerified", "KycSagaRollback"} <= released.keys()
    assert len(released) == 10


def test_a_new_type_of_event_is_compatible_because_readers_skip_it(released: Mapping[str, Schema]) -> None:
    old = released["KycEvent"]
    new = json.loads(json.dumps(old))
    new["$defs"]["KycArchived"] = json.loads(json.dumps(new["$defs"]["KycCreated"]))
    new["$defs"]["KycArchived"]["properties"]["type"]["const"] = "KYC_ARCHIVED"
    new["oneOf"].append({"$ref": "#/$defs/KycArchived"})
    new["discriminator"]["mapping"]["KYC_ARCHIVED"] = "#/$defs/KycArchived"
    assert incompatibilities(old, new) == []
    assert incompatibilities(new, old) == ["#/oneOf/KycArchived: was removed"]


def test_types_of_events_are_told_apart_as_before(released: Mapping[str, Schema]) -> None:
    old = released["KycEvent"]
    new = changed(old, ("discriminator", {"propertyName": "kind"}))
    assert incompatibilities(old, new) == ["#/discriminator: changed from 'type' to 'kind'"]


def test_a_break_inside_the_data_of_an_event_is_found_in_its_envelope(released: Mapping[str, Schema]) -> None:
    old = released["KycEvent"]
    new = changed(old, ("$defs/KycSagaRollback/properties/cause", REMOVED))
    assert incompatibilities(old, new) == ["#/oneOf/KycRollback/properties/data/properties/cause: was removed"]


def subschemas(schema: object) -> list[dict[str, object]]:
    """Every schema in *schema*, itself included."""
    if not isinstance(schema, dict):
        return []
    named = [part for keyword in ("properties", "$defs") for part in schema.get(keyword, {}).values()]
    listed = [part for keyword in ("anyOf", "oneOf", "allOf") for part in schema.get(keyword, [])]
    return [schema, *(found for part in [*named, *listed, schema.get("items")] for found in subschemas(part))]


NAMES = ["KycApplication", "KycApplicationVerified", "KycSagaRollback", "KycEvent"]
EDITS = st.one_of(
    st.tuples(st.just("type"), st.sampled_from(["string", "integer", "null", ["string", "null"]])),
    st.tuples(st.just("enum"), st.lists(st.sampled_from(["live", "VERIFIED", "other"]), max_size=2)),
    st.tuples(st.just("const"), st.sampled_from(["VERIFIED", "KYC_VERIFIED", 1, None])),
    st.tuples(st.just("required"), st.lists(st.sampled_from(["id", "data", "novel", "receipt"]), unique=True)),
    st.tuples(st.sampled_from(["minLength", "maxLength", "minItems", "maxItems"]), st.integers(0, 40)),
    st.tuples(st.just("pattern"), st.sampled_from(["^x$", "^[0-9]{20}$"])),
    st.tuples(st.just("additionalProperties"), st.booleans()),
    st.tuples(st.sampled_from(["title", "description"]), st.just("other words")),
    st.tuples(st.just("items"), st.sampled_from([True, False, {"type": "integer"}])),
    st.tuples(st.just("not"), st.just({})),
)


@settings(deadline=None)  # the machine may be busy
@given(name=st.sampled_from(NAMES), data=st.data())
def test_what_passes_never_refuses_a_message_that_was_valid(name: str, data: st.DataObject) -> None:
    old = load(name)
    new = json.loads(json.dumps({key: value for key, value in old.items() if key != "examples"}))
    for _ in range(data.draw(st.integers(1, 3), label="edits")):
        target = data.draw(st.sampled_from(subschemas(new)))
        keyword, value = data.draw(EDITS)
        if data.draw(st.booleans()):
            target.pop(keyword, None)
        else:
            target[keyword] = copy.deepcopy(value)  # a later edit may hit it
    validator = jsonschema.Draft202012Validator(new)
    findings = incompatibilities(old, new)
    assert findings or all(validator.is_valid(example) for example in old["examples"])  # type: ignore[attr-defined]  # a list
