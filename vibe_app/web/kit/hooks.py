"""Expressions that run in the browser, and the hooks of React and of npm packages, written in Python.

A page is React in the browser. What one line of it says better than a State could,
because no server is to be asked about it, is said here: `js` makes an expression that
knows which names it takes from which package, and which hooks stand before it.

`@mantine/hooks` (MIT, no dependencies of its own, released every month) has the hooks
that React lacks: intervals, storage, the network, idleness. Only those that are used
become part of a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from string import Template
from typing import Any

import reflex as rx
from reflex.utils.imports import ImportVar
from reflex.vars import VarData

MANTINE = "@mantine/hooks@9.8.1"
_FROM = {
    "useState": "react",
    "useEffect": "react",
    "useLayoutEffect": "react",
    "getHotkeyHandler": MANTINE,
    "useBlocker": "react-router",
    "useRef": "react",
    "useLocation": "react-router",
    "useNavigate": "react-router",
    "useDebouncedValue": MANTINE,
    "useDidUpdate": MANTINE,
    "useDisclosure": MANTINE,
    "useHotkeys": MANTINE,
    "useIdle": MANTINE,
    "useIntersection": MANTINE,
    "useInterval": MANTINE,
    "useMutationObserverTarget": MANTINE,
    "useNetwork": MANTINE,
    "useSessionStorage": MANTINE,
    "useTimeout": MANTINE,
    "useViewportSize": MANTINE,
    "useWindowEvent": MANTINE,
    "readSessionStorageValue": MANTINE,
}
"""Which package has what. A name that is missing here would be missing in the browser."""


def js(template: str, of: Any = Any, hooks: Sequence[str] = (), **values: Any) -> Any:
    """Return an expression of the browser: a var, typed as little as the browser is.

    Args:
        template: One line of JavaScript in which `$name` stands for a value.
        of: Its type.
        hooks: Lines that stand before it in the component that shows it, in this order; `$name` as above.
        values: Constants and vars by name.

    Raises:
        KeyError: A `$name` has no value, or nothing is known of a hook.
    """
    given = {name: rx.Var.create(value) for name, value in values.items()}
    words = {name: str(value) for name, value in given.items()}
    text, *lines = [Template(each).substitute(words) for each in (template, *hooks)]
    found = sorted(set(re.findall(r"\b(?:use[A-Z]|readS|getHotkey)\w+(?=\()", " ".join((template, *hooks)))))
    own = VarData(
        imports={
            _FROM[name]: [ImportVar(tag=each) for each in found if _FROM[each] == _FROM[name]]
            for name in found
        },
        hooks={},
    )
    data = VarData.merge(own, *(value._get_all_var_data() for value in given.values()))
    if lines:
        data = VarData.merge(data, VarData(hooks=dict.fromkeys(lines)))
    return rx.Var(_js_expr=text, _var_type=of, _var_data=data).guess_type()


def first_of(*choices: tuple[Any, Any], otherwise: Any) -> Any:
    """Return the value (or component) of the first of these conditions that holds, or `otherwise`."""
    for condition, value in reversed(choices):
        otherwise = rx.cond(condition, value, otherwise)
    return otherwise


def event(handler: Any, spec: Callable[..., Any]) -> Any:
    """Return a State's event as a function of the browser, to be called in an expression."""
    return rx.Var.create(rx.EventChain.create(handler, args_spec=spec))


class Hooked(rx.Fragment):
    """Shows nothing: what its var needs of hooks runs where it stands."""

    runs: rx.Var[Any]

    def _exclude_props(self) -> list[str]:
        return [*super()._exclude_props(), "runs"]
