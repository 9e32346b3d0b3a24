"""The part of Rego in which every engine agrees, enforced when a policy is loaded.

The embedded engine notices a built-in that it lacks only when evaluation reaches it, and takes `http.send` for
undefined, so that `not http.send(…)` is true: a policy that reads like a guard would let everybody in. Such calls are
found before anything is evaluated.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

Node: TypeAlias = object
Syntax: TypeAlias = Mapping[str, object]

# Built-ins that regorus and OPA both have, and that need no clock, randomness, network or keys.
BUILTINS = frozenset(
    {
        "abs",
        "array.concat",
        "array.slice",
        "concat",
        "contains",
        "count",
        "endswith",
        "glob.match",
        "intersection",
        "is_array",
        "is_boolean",
        "is_null",
        "is_number",
        "is_object",
        "is_set",
        "is_string",
        "lower",
        "max",
        "min",
        "net.cidr_contains",
        "numbers.range",
        "object.get",
        "object.keys",
        "replace",
        "round",
        "sort",
        "split",
        "sprintf",
        "startswith",
        "sum",
        "to_number",
        "trim",
        "trim_prefix",
        "trim_suffix",
        "union",
        "upper",
    }
)


def faults(modules: Sequence[Syntax]) -> Sequence[str]:
    """What makes *modules* (the engine's syntax trees) unportable, as `file:line: what`; empty: they may be served."""
    own = frozenset(name for module in modules for name, _ in _functions(module))
    found = {fault for module in modules for fault in _faults(module, own)}
    calls: dict[str, set[str]] = {}
    for module in modules:
        for caller, called in _calls(module):
            calls.setdefault(caller, set()).add(called)
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:  # the engine would recurse until the process dies of it
        found.add(f"functions call one another in a circle: {', '.join(sorted(set(error.args[1])))}")
    return sorted(found)


def parse(syntax: str) -> Sequence[Syntax]:
    """The syntax trees in the engine's JSON."""
    modules: list[Syntax] = json.loads(syntax)
    return modules


def _faults(module: Syntax, own: frozenset[str]) -> Iterator[str]:
    file, package = _path(module, "source", "file"), _package(module)
    for node in _nodes(module["ast"]):
        call = node.get("Call")
        if isinstance(call, Mapping):
            name = _name(call.get("fcn"))
            if name not in BUILTINS and _full(package, name) not in own:
                yield f"{file}:{_path(call, 'span', 'line')}: calls {name}"
        for replaced in _list(node.get("with_mods")):  # `with` can put one function in another's place
            yield f"{file}:{_path(replaced, 'span', 'line')}: uses with"


def _functions(module: Syntax) -> Iterator[tuple[str, Node]]:
    """The functions that *module* defines under a plain name; a dotted one could pose as a built-in."""
    for rule in _list(_path(module, "ast", "rules")):
        head = _path(rule, "Spec", "head", "Func", "refr")
        if isinstance(head, Mapping) and "Var" in head:
            yield _full(_package(module), _name(head)), rule


def _calls(module: Syntax) -> Iterator[tuple[str, str]]:
    """Which function of *module* calls which."""
    for caller, rule in _functions(module):
        for node in _nodes(rule):
            call = node.get("Call")
            if isinstance(call, Mapping):
                yield caller, _full(_package(module), _name(call.get("fcn")))


def _package(module: Syntax) -> str:
    return _name(_path(module, "ast", "package", "refr"))


def _full(package: str, name: str) -> str:
    return name if name.startswith("data.") else f"data.{package}.{name}"


def _nodes(tree: Node) -> Iterator[Syntax]:
    if isinstance(tree, Mapping):
        yield tree
        for child in tree.values():
            yield from _nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def _name(node: Node) -> str:
    """The dotted name that *node* refers to; a reference with brackets has none, and is nobody's."""
    match node:
        case {"Var": {"value": str(name)}}:
            return name
        case {"RefDot": {"refr": base, "field": [_, str(field)]}}:
            return f"{_name(base)}.{field}"
        case _:
            return "a computed name"


def _path(node: Node, *keys: str) -> Node:
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _list(node: Node) -> Sequence[Node]:
    return node if isinstance(node, list) else ()
