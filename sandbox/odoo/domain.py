"""Domains: prefix notation in, a predicate over rows out.

`compile_domain` checks a domain as the server does (with its error texts) and returns a `Query`: the predicate plus
what the top-level conjunction says about `id` and `write_date`, so that `search` can use an index. The predicate is
always applied in full; an index only narrows what it is applied to. What one `(field, operator, value)` means is in
`leaf`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.odoo.leaf import Checker, Leaf, Predicate, Query, anything

if TYPE_CHECKING:
    from sandbox.odoo.store import Table

_ARITY = {"&": 2, "|": 2, "!": 1}


def check_shape(domain: list[Any]) -> None:
    """Raise what the server raises for a domain that is no domain."""
    if not isinstance(domain, list | tuple):
        raise TypeError(f"'{type(domain).__name__}' object is not iterable")
    expected, tokens = 1, 0
    for token in domain:
        if expected == 0:
            expected = 1
        expected += _ARITY.get(token, 0) - 1 if isinstance(token, str) else -1
        tokens += 1
    if tokens and expected != 0:
        raise ValueError(f"Domain {domain!r} is syntactically not correct.")


def mentions(domain: Iterable[Any], name: str) -> bool:
    """Whether a leaf of the domain is about that field."""
    return any(isinstance(token, list | tuple) and token and token[0] == name for token in domain)


def compile_domain(table: "Table", domain: list[Any], check: Checker | None = None) -> Query:
    """Compile a domain over a table; `check(table, field)` may refuse a field to this user."""
    check_shape(domain)
    query = Query()
    tests = [_compile_tree(table, tree, check, query) for tree in _conjuncts(domain)]
    query.test = _all([test for test in tests if test is not anything])
    return query


def _conjuncts(domain: list[Any]) -> list[Any]:
    """The trees that must all hold: implicit and leading `&` flattened."""
    tokens, trees = list(domain), []
    while tokens:
        tree, tokens = _parse(tokens)
        trees.append(tree)
    flat: list[Any] = []
    while trees:
        tree = trees.pop(0)
        if tree[0] == "&":
            trees[:0] = [tree[1], tree[2]]
        else:
            flat.append(tree)
    return flat


def _parse(tokens: list[Any]) -> tuple[Any, list[Any]]:
    """One term off the front of the tokens."""
    stack: list[tuple[str, list[Any]]] = []
    for position, token in enumerate(tokens):
        if isinstance(token, str) and token in _ARITY:
            stack.append((token, []))
            continue
        term: Any = ("leaf", token)
        while stack:
            operator, operands = stack[-1]
            operands.append(term)
            if len(operands) < _ARITY[operator]:
                break
            stack.pop()
            term = (operator, *operands)
        else:
            return term, tokens[position + 1 :]
    raise ValueError(f"Domain {tokens!r} is syntactically not correct.")


def _all(tests: list[Predicate]) -> Predicate | None:
    if not tests:
        return None
    test = tests[0]
    for other in tests[1:]:
        test = _both(test, other)
    return test


def _both(left: Predicate, right: Predicate) -> Predicate:
    return lambda row: left(row) and right(row)


def _compile_tree(table: "Table", tree: Any, check: Checker | None, query: Query | None) -> Predicate:
    if tree[0] == "leaf":
        return Leaf(table, tree[1], check, query).compile()
    parts = [_compile_tree(table, part, check, None) for part in tree[1:]]
    if tree[0] == "!":
        inner = parts[0]
        return lambda row: not inner(row)
    left, right = parts
    return _both(left, right) if tree[0] == "&" else lambda row: left(row) or right(row)
