"""Whether a changed schema still fits the messages and the readers that are already out there.

Events live long: a reader of the new version meets old messages in the log, and a reader of the old version meets new
messages on the bus. Compatible is what both can take: a new property that may be missing, a new type of event, other
words. Everything else is a new message under a new name.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Schema: TypeAlias = Mapping[str, object]

# What says nothing about validity.
ANNOTATIONS = frozenset(
    {"$schema", "$comment", "$defs", "title", "description", "examples", "deprecated", "readOnly", "writeOnly"}
)
# What has a rule of its own below; any other keyword must simply stay as it is.
STRUCTURE = frozenset(
    {"$ref", "type", "enum", "const", "required", "properties", "additionalProperties", "items", "prefixItems"}
    | {"anyOf", "oneOf", "allOf", "discriminator"}
)
LOWER_BOUNDS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"})
UPPER_BOUNDS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"})


class UnresolvableReference(ValueError):
    """A `$ref` leads out of its document, or nowhere."""


def incompatibilities(old_schema: Schema, new_schema: Schema) -> list[str]:
    """Every way in which *new_schema* breaks readers or messages of *old_schema*; empty when it breaks none."""
    return list(_Comparison(old_schema, new_schema).of(old_schema, new_schema, "#"))


class _Comparison:
    """Two documents held against each other; definitions are looked up in their own document and compared once."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._compared: set[str] = set()

    def of(self, old: object, new: object, at: str) -> Iterator[str]:
        """What became incompatible between the subschemas *old* and *new* that stand at *at*."""
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):  # `true`, `false`
            if old != new:
                yield f"{at}: changed from {old!r} to {new!r}" if isinstance(old, bool) else f"{at}: was replaced"
            return
        before, after = old.get("$ref"), new.get("$ref")
        if isinstance(before, str) and isinstance(after, str):
            yield from self._references(before, after, at)
            yield from self._resolved(_beside(old), _beside(new), at)
        else:  # at most one of them refers: a definition may be written in place, or given a name
            yield from self._resolved(_resolve(self._old, old), _resolve(self._new, new), at)

    def _references(self, before: str, after: str, at: str) -> Iterator[str]:
        if before != after:
            yield f"{at}: refers to {after!r} instead of {before!r}"
        elif before not in self._compared:
            self._compared.add(before)
            yield from self._resolved(_resolve(self._old, {"$ref": before}), _resolve(self._new, {"$ref": after}), at)

    def _resolved(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        yield from _types(old, new, at)
        yield from _values(old, new, at)
        yield from _constraints(old, new, at)
        yield from _presence(old, new, at)
        yield from self._properties(old, new, at)
        yield from self._additional(old, new, at)
        yield from self._elements(old, new, at)
        for keyword in ("anyOf", "oneOf", "allOf"):
            yield from self._alternatives(keyword, old, new, at)

    def _properties(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = _object(old, "properties"), _object(new, "properties")
        for name, subschema in before.items():
            if name in after:
                yield from self.of(subschema, after[name], f"{at}/properties/{name}")
            else:
                yield f"{at}/properties/{name}: was removed"
        for name, subschema in after.items():
            if name in before:
                continue
            allowed = old.get("additionalProperties", True)
            if allowed is False:
                yield f"{at}/properties/{name}: was added, and older readers refuse properties that they do not know"
            elif allowed is not True:  # so far any property of this name had to fit the schema for all the others
                yield from self.of(allowed, subschema, f"{at}/properties/{name}")

    def _additional(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from self.of(before, after, f"{at}/additionalProperties")
        elif before != after:
            tighter = before is True or after is False
            yield f"{at}/additionalProperties: was {'tightened' if tighter else 'loosened'}"

    def _elements(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        if "items" in old or "items" in new:
            yield from self.of(old.get("items", True), new.get("items", True), f"{at}/items")
        before, after = _list(old, "prefixItems"), _list(new, "prefixItems")
        if len(before) != len(after):
            yield f"{at}/prefixItems: has {len(after)} places instead of {len(before)}"
        for place, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from self.of(one, other, f"{at}/prefixItems/{place}")

    def _alternatives(self, keyword: str, old: Schema, new: Schema, at: str) -> Iterator[str]:
        """Alternatives are told apart by what they refer to or what type they have, else by their place."""
        before, after = _labelled(_list(old, keyword)), _labelled(_list(new, keyword))
        for label, subschema in before.items():
            if label in after:
                yield from self.of(subschema, after[label], f"{at}/{keyword}/{label}")
            else:
                yield f"{at}/{keyword}/{label}: was removed"
        # A reader skips a type of event that it does not know; any other new alternative is a message it cannot read.
        open_ended = keyword == "oneOf" and "discriminator" in old and "discriminator" in new
        for label in after:
            if label not in before and not open_ended:
                yield f"{at}/{keyword}/{label}: was added, and older readers refuse it"
        if keyword == "oneOf" and _tag(old) != _tag(new):
            yield f"{at}/discriminator: changed from {_tag(old)!r} to {_tag(new)!r}"


def _types(old: Schema, new: Schema, at: str) -> Iterator[str]:
    before, after = _names(old.get("type")), _names(new.get("type"))
    if before != after:
        yield f"{at}: type changed from {_words(before)} to {_words(after)}"


def _values(old: Schema, new: Schema, at: str) -> Iterator[str]:
    """`const` is an `enum` of one."""
    before, after = _allowed(old), _allowed(new)
    if before is None and after is not None:
        yield f"{at}: only some values are allowed now"
    elif before is not None and after is None:
        yield f"{at}: any value is allowed now, and older readers refuse it"
    elif before is not None and after is not None:
        yield from (f"{at}: value {value!r} was removed" for value in before if not _contains(after, value))
        yield from (
            f"{at}: value {value!r} was added, and older readers refuse it"
            for value in after
            if not _contains(before, value)
        )


def _constraints(old: Schema, new: Schema, at: str) -> Iterator[str]:
    keywords = {**old, **new}.keys() - ANNOTATIONS - STRUCTURE
    for keyword in sorted(keywords):
        before, after = old.get(keyword), new.get(keyword)
        if keyword in old and keyword in new and _same(before, after):
            continue
        if keyword in LOWER_BOUNDS | UPPER_BOUNDS:
            direction = "narrowed" if _is_narrower(keyword, before, after) else "widened"
            yield f"{at}: {keyword} was {direction} from {before!r} to {after!r}"
        elif keyword in old and keyword in new:
            yield f"{at}: {keyword} changed from {before!r} to {after!r}"
        else:
            yield f"{at}: {keyword} was {'added' if keyword in new else 'removed'}"


def _presence(old: Schema, new: Schema, at: str) -> Iterator[str]:
    before, after = _list(old, "required"), _list(new, "required")
    yield from (f"{at}/properties/{name}: is required now" for name in after if name not in before)
    yield from (f"{at}/properties/{name}: is no longer required" for name in before if name not in after)


def _is_narrower(keyword: str, before: object, after: object) -> bool:
    if before is None or after is None:
        return before is None
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return True
    return after > before if keyword in LOWER_BOUNDS else after < before


def _beside(schema: Schema) -> Schema:
    """What *schema* says beside its reference."""
    return {keyword: value for keyword, value in schema.items() if keyword != "$ref"}


def _resolve(document: Schema, schema: Schema) -> Schema:
    """*schema* with the definition that it refers to in place of the reference."""
    seen: set[str] = set()
    while isinstance(reference := schema.get("$ref"), str):
        if reference in seen:
            raise UnresolvableReference(reference)
        seen.add(reference)
        target, beside = _definition(document, reference), _beside(schema)
        contested = target.keys() & beside.keys() - ANNOTATIONS
        schema = {"allOf": [target, beside]} if contested else {**target, **beside}
    return schema


def _definition(document: Schema, reference: str) -> Schema:
    if not reference.startswith("#"):
        raise UnresolvableReference(reference)
    target: object = document
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        target = target.get(name) if isinstance(target, Mapping) else None
    if not isinstance(target, Mapping):
        raise UnresolvableReference(reference)
    return target


def _object(schema: Schema, keyword: str) -> Mapping[str, object]:
    value = schema.get(keyword)
    return value if isinstance(value, Mapping) else {}


def _list(schema: Schema, keyword: str) -> Sequence[object]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def _names(types: object) -> frozenset[str]:
    if isinstance(types, str):
        return frozenset({types})
    return frozenset(str(name) for name in types) if isinstance(types, list) else frozenset()


def _words(types: frozenset[str]) -> str:
    return " or ".join(sorted(types)) or "anything"


def _allowed(schema: Schema) -> Sequence[object] | None:
    """The only values allowed, or None when there is no such list; `const` and `enum` both hold."""
    if "enum" not in schema:
        return [schema["const"]] if "const" in schema else None
    listed = _list(schema, "enum")
    return [value for value in listed if _same(value, schema["const"])] if "const" in schema else listed


def _contains(values: Sequence[object], value: object) -> bool:
    return any(_same(value, other) for other in values)


def _same(one: object, other: object) -> bool:
    """Equal as JSON: unlike in Python, `true` is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _labelled(alternatives: Sequence[object]) -> dict[str, object]:
    labelled: dict[str, object] = {}
    for place, alternative in enumerate(alternatives):
        label = _label(alternative) or str(place)
        labelled[label if label not in labelled else f"{label}#{place}"] = alternative
    return labelled


def _label(alternative: object) -> str | None:
    if not isinstance(alternative, Mapping):
        return None
    name = alternative.get("$ref") or alternative.get("title") or alternative.get("type")
    return name.removeprefix("#/$defs/") if isinstance(name, str) else None


def _tag(schema: Schema) -> object:
    return _object(schema, "discriminator").get("propertyName")
