"""Expressions of the browser that are made in Python: what they say, and what they bring along."""

from __future__ import annotations

import pytest
import reflex as rx

from vibe_app.web.kit.hooks import MANTINE, first_of, js


def test_an_expression_has_its_values_as_literals_and_vars():
    other = rx.Var("count", _var_type=int)
    made = js("said($words, $other)", str, words='a "quoted" text\n', other=other)
    assert str(made) == r'said("a \"quoted\" text\n", count)'


def test_an_expression_brings_its_hooks_in_order_and_their_packages():
    now = js(
        "now", int, ("const [now, setNow] = useState(0);", "useInterval(() => setNow($step), 5);"), step=2
    )
    data = (now + 1)._get_all_var_data()
    assert data is not None
    assert data.hooks == ("const [now, setNow] = useState(0);", "useInterval(() => setNow(2), 5);")
    packages = {package: {each.tag for each in tags} for package, tags in data.imports}
    assert packages["react"] == {"useState"}
    assert packages[MANTINE] == {"useInterval"}


def test_an_expression_in_another_brings_what_that_one_needs():
    inner = js("network.online", bool, ("const network = useNetwork();",))
    data = js("$inner && 1", inner=inner)._get_all_var_data()
    assert data is not None
    assert data.hooks == ("const network = useNetwork();",)


@pytest.mark.parametrize("template", ["useNothingKnown()", "$missing"])
def test_what_nobody_has_is_refused_when_the_page_is_made(template: str):
    with pytest.raises(KeyError):
        js(template)


def test_the_first_that_holds_is_shown():
    a, b = (rx.Var(name, _var_type=bool).guess_type() for name in "ab")
    assert str(first_of((a, "one"), (b, "two"), otherwise="three")) == '(a ? "one" : (b ? "two" : "three"))'
