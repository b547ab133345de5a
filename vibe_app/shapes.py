"""Somebody else's JSON, taken as far as it has the shape that is known here. Pure.

OpenCode, a cluster and files that an agent can write say what they like: their shapes are written down as
TypedDicts of which every field may be missing, and `shaped` leaves out whatever is not so. After it, a
field has the type that is written down, or is not there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints, is_typeddict

from vibe_app.wire import HUGE

T = TypeVar("T")

_WRONG = object()


def shaped(kind: type[T], value: object) -> T:
    """Return of a value what has the shape, as a copy; what is nothing of the kind counts as empty.

    Args:
        kind: A TypedDict without required fields, `str`, `bool`, `int`, `float` (any number), `object`
            (whatever it is), or a `list`, `tuple` of known length, `dict` by names or union of these.
        value: As `json.loads` gives it. Numbers beyond 63 bits, and those that are none, are left out.
    """
    found = _fitting(kind, value)
    return kind() if found is _WRONG else found


def _fitting(kind: Any, value: object) -> Any:
    """Return what of a value has the shape, `_WRONG` where it is something else."""
    if kind is str or kind is bool or kind is NoneType:
        return value if isinstance(value, kind) else _WRONG
    if kind is int or kind is float:
        return value if _is_number(kind, value) else _WRONG
    if kind is object:
        return value
    outer, parts = get_origin(kind), get_args(kind)
    if outer is UnionType:
        found = (_fitting(part, value) for part in parts)
        return next((inner for inner in found if inner is not _WRONG), _WRONG)
    if outer is dict or is_typeddict(kind):
        forms = {} if outer is dict else _forms(kind)
        return _named(parts[1] if outer is dict else None, forms, value)
    return _listed(outer, parts, value)


def _named(form: Any, forms: dict[str, Any], value: object) -> Any:
    """The same for an object: one form for all names, or those names alone that have one of their own."""
    if not isinstance(value, dict):
        return _WRONG
    given = cast(dict[str, object], value).items()
    found = ((name, _fitting(form or forms[name], inner)) for name, inner in given if form or name in forms)
    return {name: inner for name, inner in found if inner is not _WRONG}


def _listed(outer: Any, forms: tuple[Any, ...], value: object) -> Any:
    """The same for a list: of any length, or, as a tuple, of as many entries as there are forms."""
    if not isinstance(value, list | tuple):
        return _WRONG
    given = cast(Sequence[object], value)
    if outer is list:
        return [inner for inner in (_fitting(forms[0], inner) for inner in given) if inner is not _WRONG]
    each = tuple(_fitting(form, inner) for form, inner in zip(forms, given, strict=False))
    return each if len(given) == len(forms) and _WRONG not in each else _WRONG


def _is_number(kind: Any, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        return False
    return -HUGE <= value <= HUGE and not math.isnan(value)


@lru_cache
def _forms(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
