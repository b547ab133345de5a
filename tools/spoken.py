"""The scripts that handlers of the pages send to the browser, as a file that ESLint can read.

What a page says to the browser is in the compiled pages (`.web`). What a handler says with `rx.call_script`
is a text until it runs: it is found here in the sources, with a name in the place of each value.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

VALUE = "window.value"
"""Stands for what is only known when a handler runs."""


Function = ast.FunctionDef | ast.AsyncFunctionDef


class Scope:
    """What names stand for in a module or a function, or else in what is `around` it."""

    def __init__(self, nodes: Iterable[ast.AST], around: list[Scope]) -> None:
        self.around = around
        self.named: dict[str, tuple[ast.expr, Scope]] = {}
        for node in nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.named[name] = (value, self)
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                    several = zip(map(ast.unparse, names), values, strict=False)
                    self.named |= {name: (value, self) for name, value in several}
                case _:
                    pass

    def find(self, name: str) -> tuple[ast.expr, Scope] | None:
        """Return what stands under a name, and where that is to be read."""
        here = self.named.get(name)
        return here or next((found for each in self.around if (found := each.named.get(name))), None)


class Module:
    """A module of the pages, with a scope of its own and one for each of its functions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nodes = list(ast.walk(ast.parse(path.read_text())))
        functions = [node for node in self.nodes if isinstance(node, Function)]
        # An inner one comes after the one around it.
        self.within = {node: each for each in functions for node in ast.walk(each)}
        self.scope = Scope((node for node in self.nodes if node not in self.within), [])
        self.scopes = {each: Scope(ast.walk(each), [self.scope]) for each in functions}
        for each in functions:
            if isinstance(last := each.body[-1], ast.Return) and isinstance(last.value, ast.JoinedStr):
                self.scope.named[each.name] = (last.value, self.scopes[each])

    def scripts(self) -> Iterator[tuple[int, str]]:
        """Say each script with its line."""
        for node in self.nodes:
            match node:
                case ast.Call(func=ast.Attribute(attr="call_script"), args=[said, *_]):
                    scope = self.scopes[self.within[node]] if node in self.within else self.scope
                    yield node.lineno, _text(said, scope)
                case _:
                    pass


def _text(node: ast.expr, scope: Scope) -> str:
    """Return what an expression says, as far as that stands in the sources."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, scope) for part in parts)
        case ast.FormattedValue(value=inner):
            return _text(inner, scope)
        case ast.Call(func=ast.Attribute(value=of, attr="format"), args=given):
            return _text(of, scope).format(*[VALUE] * len(given))
        case (
            ast.Name(id=name)
            | ast.Attribute(attr=name)
            | ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))
        ):
            found = scope.find(name)
            return VALUE if found is None or found[0] is node else _text(*found)
        case _:
            return VALUE


def scripts(folder: Path) -> Iterator[str]:
    """Say each script in a block of its own, after a comment that tells where it is."""
    modules = [Module(path) for path in sorted(folder.rglob("*.py"))]
    for module in modules:
        others = [each.scope for each in modules if each is not module]
        for scope in (module.scope, *module.scopes.values()):
            scope.around.extend(others)
        for line, text in module.scripts():
            yield f"// {module.path}:{line}\n{{\n  {text};\n}}\n"
