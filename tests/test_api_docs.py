"""Every public name is in the API reference, with a docstring that says all there is to know."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
from numpydoc.docscrape import NumpyDocString

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
def test_its_methods_have_docstrings(name):
    value = CALLABLES[name]
    if not inspect.isclass(value):
        return
    for method, member in vars(value).items():
        if method[0] != "_" and (inspect.isroutine(member) or isinstance(member, property)):
            assert inspect.getdoc(getattr(value, method)), method
