"""Write the small inventories of packages whose own cannot be had without the network.

``python docs/_inventories/make.py``: names that our docstrings and pages mention, with the public pages that
describe them. A name that is missing here is shown, but not linked. Those of astropy, Python and SciPy are as
they are published.
"""

from __future__ import annotations

import zlib
from pathlib import Path

HERE = Path(__file__).parent
HEADER = """# Sphinx inventory version 2
# Project: {}
# Version:
# The remainder of this file is compressed using zlib.
"""
# By inventory: role, names, and page with anchor, in which {} is the name.
NAMES = {
    "arviz_plots": [
        ("function", "plot_compare plot_khat plot_pair plot_ppc_dist plot_trace_dist",
         "api/generated/arviz_plots.{}.html#arviz_plots.{}"),
    ],
    "arviz_stats": [
        ("function", "compare ess loo rhat summary", "api/generated/arviz_stats.{}.html#arviz_stats.{}"),
    ],
    "matplotlib": [
        ("class", "matplotlib.axes.Axes", "api/_as_gen/{}.html#{}"),
        ("class", "matplotlib.figure.Figure", "api/_as_gen/{}.html#{}"),
    ],
    "numpy": [
        ("class", "numpy.ndarray", "reference/generated/{}.html#{}"),
        ("class", "numpy.random.Generator", "reference/random/generator.html#{}"),
    ],
    "pandas": [("class", "pandas.DataFrame", "reference/api/{}.html#{}")],
    "pymc": [
        ("class", "pymc.Model pymc.LogNormal pymc.Normal pymc.Uniform", "api/generated/{}.html#{}"),
        ("function", "pymc.draw pymc.sample pymc.sample_prior_predictive pymc.sample_posterior_predictive",
         "api/generated/{}.html#{}"),
        ("function", "pymc.sample_smc", "api/generated/pymc.smc.sample_smc.html#pymc.smc.sample_smc"),
    ],
    "pytensor": [("class", "pytensor.tensor.TensorVariable", "library/tensor/basic.html#{}")],
    "xarray": [
        ("class", "xarray.DataArray xarray.Dataset xarray.DataTree", "generated/{}.html#{}"),
        ("function", "xarray.load_datatree xarray.open_datatree", "generated/{}.html#{}"),
    ],
}  # fmt: skip
# ArviZ documents in the packages that it consists of what is used by its own name.
PREFIXES = {"arviz_plots": "arviz.", "arviz_stats": "arviz."}


def write(package: str) -> None:
    """Write one inventory, in the second version of Sphinx's format."""
    prefix = PREFIXES.get(package, "")
    lines = [
        f"{prefix}{name} py:{role} 1 {page.replace('{}', name)} -\n"
        for role, names, page in NAMES[package]
        for name in names.split()
    ]
    content = HEADER.format(package).encode() + zlib.compress("".join(sorted(lines)).encode(), 9)
    (HERE / f"{package}.inv").write_bytes(content)


if __name__ == "__main__":
    for package in NAMES:
        write(package)
