"""The code blocks of the README, extracted and run as they are, against the truth (issue 13, 1, 2, 16)."""

from __future__ import annotations

import re
from pathlib import Path

import arviz as az
import numpy as np
import pytest

import pymc_lens as pl

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TRUTH = {"einstein_radius": 1.6, "ell_comps": np.array([0.17647, 0.0])}


def run(code: str, monkeypatch) -> dict:
    monkeypatch.chdir(ROOT)
    namespace: dict = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), namespace)
    return namespace


def assert_truth(idata) -> None:
    posterior = idata["posterior"].to_dataset()
    for name, truth in TRUTH.items():
        mean, sd = posterior[name].mean(("chain", "draw")), posterior[name].std(("chain", "draw"))
        assert (np.abs(mean - truth) < 3 * sd).all(), name
    assert posterior["einstein_radius"].std() < 0.01
    assert idata["posterior"].attrs.get("pareto_k", 0.0) < 0.7
    assert int(idata["sample_stats"].get("diverging", np.array(0)).sum()) == 0


def test_issue13_line16_the_first_example_is_the_overview():
    assert (ROOT / "examples" / "overview.py").read_text().endswith(f'"""\n\n{BLOCKS[0]}')


def test_issue13_line1_the_readme_s_blocks_reach_the_truth(monkeypatch):
    """All of them in order, as somebody who reads it types them."""
    namespace = run("\n".join(BLOCKS), monkeypatch)
    assert_truth(namespace["idata"])
    assert namespace["fit"].reduced_chi_squared == pytest.approx(1.0, abs=0.05)
    assert isinstance(namespace["best"], pl.FitImaging)
    assert namespace["best"].reduced_chi_squared == pytest.approx(1.0, abs=0.05)
    assert az.summary(namespace["idata"])["r_hat"].astype(float).max() < 1.05


@pytest.mark.slow
def test_recovery(monkeypatch):
    """With more draws the chains agree."""
    idata = run(BLOCKS[0].replace("pl.sample(", "pl.sample(600, "), monkeypatch)["idata"]
    assert_truth(idata)
    summary = az.summary(idata, kind="diagnostics", round_to="none")
    assert summary["r_hat"].max() < 1.01
    assert summary["ess_bulk"].min() > 400


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["nutpie", "numpyro"])
def test_issue13_line2_the_readme_s_example_with_other_samplers(sampler, monkeypatch):
    code = BLOCKS[0].replace("pl.sample(", f'pl.sample(150, nuts_sampler="{sampler}", ')
    code = code.replace("pl.plot.subplot_fit(fit)\n", "")
    assert_truth(run(code, monkeypatch)["idata"])


@pytest.mark.slow
def test_issue13_line1_the_former_example_reaches_the_truth(monkeypatch):
    """Rectangular with Constant, 40 x 40, prior centred on the truth: it ended at |ell_comps| = 1."""
    code = BLOCKS[0].replace(
        "pl.mesh.VoronoiNN(pl.image_mesh.Overlay((24, 24)))", "pl.mesh.Rectangular((40, 40))"
    )
    code = code.replace(
        "pl.regularization.MaternSPDE(scale=scale, amplitude=amplitude)",
        "pl.regularization.Constant(coefficient=1.0 / amplitude**2)",
    )
    code = code.replace('            pm.LogNormal("scale", -2.0, 1.0),\n', "            None,\n")
    idata = run(code, monkeypatch)["idata"]
    mean = idata["posterior"]["einstein_radius"].mean()
    assert abs(float(mean) - 1.6) < 0.003
