"""Every public name is in the API reference, with a docstring that says all there is to know."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
from numpydoc.docscrape import NumpyDocString
from raised import errors_of, function_of

import pymc_lens as pl

REFERENCE = (Path(__file__).parents[1] / "docs" / "api.md").read_text()


def public_names(module: ModuleType) -> list[str]:
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    functions = inspect.getmembers(module, inspect.isfunction)
    return [name for name, value in functions if value.__module__ == module.__name__ and name[0] != "_"]


def documented() -> Iterator[tuple[str, Any]]:
    """Public objects by their full name, each once, those of the package before those of its modules."""
    modules = [name for name in pl.__all__ if isinstance(getattr(pl, name), ModuleType)]
    seen: list[Any] = []
    for module in (pl, *(import_module(f"pymc_lens.{name}") for name in modules)):
        for name in public_names(module):
            value = getattr(module, name)
            if not isinstance(value, ModuleType) and not any(value is other for other in seen):
                seen.append(value)
                yield f"{module.__name__}.{name}", value


OBJECTS = dict(documented())
CALLABLES = {name: value for name, value in OBJECTS.items() if callable(value)}
every = pytest.mark.parametrize("name", CALLABLES)


def sections(value: Any) -> NumpyDocString:
    return NumpyDocString(inspect.getdoc(value) or "")


def described(document: NumpyDocString, *names: str) -> set[str]:
    """Names under headings; ``a, b : float`` are two."""
    entries = [entry.name or entry.type for name in names for entry in document[name]]
    return {part.strip().lstrip("*") for entry in entries for part in entry.split(",")}


def described_errors(document: NumpyDocString) -> set[str]:
    return {name.strip() for entry in document["Raises"] for name in entry.type.split(",")}


def arguments(value: Any) -> set[str]:
    """Arguments of a function or of what makes an instance."""
    maker = value
    if inspect.isclass(value):
        own = (getattr(value, name) for name in ("__new__", "__init__") if name in vars(value))
        maker = next(own, value)
    return set(inspect.signature(maker).parameters) - {"self", "cls", "_cls"}


@every
def test_it_is_in_the_reference(name):
    short = name.removeprefix("pymc_lens.")
    module, _, last = short.rpartition(".")
    heading = f"automodule:: pymc_lens.{module}\n"
    section = REFERENCE.split(heading)[1].split("\n## ")[0] if heading in REFERENCE else REFERENCE
    entries = re.findall(r"^   ([A-Za-z0-9_.]+)$", section, re.MULTILINE)
    assert short in entries or last in entries


@every
def test_it_has_a_summary(name):
    summary = " ".join(sections(CALLABLES[name])["Summary"])
    assert summary.endswith(".")


@every
def test_its_parameters_are_described(name):
    value = CALLABLES[name]
    document = sections(value)
    assert arguments(value) <= described(document, "Parameters", "Attributes"), arguments(value)


@every
def test_what_it_returns_is_described(name):
    value = CALLABLES[name]
    if not inspect.isfunction(value) or get_type_hints(value)["return"] is type(None):
        return
    assert sections(value)["Returns"] or sections(value)["Yields"]


@every
def test_what_it_raises_is_described(name):
    value = CALLABLES[name]
    assert errors_of(value) <= described_errors(sections(value))


def methods(value: Any) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class of the package defines itself, by name."""
    for name, member in vars(value).items():
        is_method = inspect.isroutine(member) or isinstance(member, (property, cached_property))
        if name[0] != "_" and is_method:
            yield name, member


METHODS = {
    f"{name}.{method}": (value, method, member)
    for name, value in CALLABLES.items()
    if inspect.isclass(value)
    for method, member in methods(value)
}
every_method = pytest.mark.parametrize("name", METHODS)


@every_method
def test_a_method_has_a_docstring(name):
    owner, method, _ = METHODS[name]
    assert inspect.getdoc(getattr(owner, method))


@every_method
def test_the_docstring_of_a_method_is_complete(name):
    owner, _, member = METHODS[name]
    function = function_of(member)
    # Of an override that says nothing new the contract's docstring is shown, and checked there.
    if function is None or not function.__doc__ or function.__doc__.startswith("See `"):
        return
    document = NumpyDocString(inspect.cleandoc(function.__doc__))
    assert " ".join(document["Summary"]).endswith(".")
    assert errors_of(member, owner) <= described_errors(document)
    if isinstance(member, (property, cached_property)):
        return
    assert set(inspect.signature(function).parameters) - {"self", "cls"} <= described(document, "Parameters")
    if function.__annotations__.get("return") != "None":
        assert document["Returns"]
