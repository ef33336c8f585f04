"""The examples in the docstrings of public names, run as they are."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator

import numpy as np
import pymc as pm
import pytest
from test_api_docs import CALLABLES

import pymc_lens as pl


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder()
    for name, value in CALLABLES.items():
        known = {"np": np, "pl": pl, "pm": pm} | vars(inspect.getmodule(value))
        for found in finder.find(value, name, globs=known):
            # Of an inherited docstring the example is run where it is written.
            if found.examples:
                yield found


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_it_runs(example: doctest.DocTest) -> None:
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not runner.run(example, out=said.append).failed, "".join(said)
