"""Which errors a function raises: by its own statements, or by those of what it calls in the package."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any

MAKERS = ("__init__", "__post_init__", "__new__")


def function_of(member: Any) -> FunctionType | None:
    """Return the Python function under a function, method, property or class; None for what has none."""
    if inspect.isclass(member):
        own = (vars(kind)[name] for kind in member.__mro__ for name in MAKERS if name in vars(kind))
        member = next((maker for maker in own if tree(function_of(maker)).body), None)
    for wrapped in ("fget", "__func__", "func"):
        member = getattr(member, wrapped, member)
    return inspect.unwrap(member) if isinstance(member, FunctionType) else None


def errors_of(member: Any, owner: Any = None) -> set[str]:
    """Return names of the errors of a public callable itself and of what it calls by name.

    Calls are followed one deep, to functions of the package and methods of the class; constructors, whose
    errors are those of other public names, and methods of arguments are not.
    """
    function = function_of(member)
    if function is None or not function.__module__.startswith("pymc_lens"):
        return set()
    found = raised_in(function)
    for called in calls(function, owner):
        found |= raised_in(called)
    return found


@cache
def tree(function: FunctionType | None) -> ast.Module:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError):  # what NamedTuple and dataclass write has no source
        return ast.Module([], [])


def raised_in(function: FunctionType) -> set[str]:
    raises = [node.exc for node in ast.walk(tree(function)) if isinstance(node, ast.Raise)]
    names = [ast.unparse(error.func if isinstance(error, ast.Call) else error) for error in raises if error]
    return {name for name in names if is_error(named(function, name))}


def calls(function: FunctionType, owner: Any) -> Iterator[FunctionType]:
    for node in ast.walk(tree(function)):
        if not isinstance(node, ast.Call):
            continue
        base, _, method = ast.unparse(node.func).rpartition(".")
        if base in ("self", "cls") and owner is not None:
            member = inspect.getattr_static(owner, method, None)
        else:
            member = named(function, method) if not base else getattr(named(function, base), method, None)
        called = None if inspect.isclass(member) else function_of(member)
        if called is not None and called.__module__.startswith("pymc_lens"):
            yield called


def named(function: FunctionType, name: str) -> Any:
    """Return what a name means in the module of a function."""
    return getattr(sys.modules[function.__module__], name, getattr(builtins, name, None))


def is_error(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)
