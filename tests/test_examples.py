"""The scripts in examples/ run as they are, with fewer draws."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import arviz as az
import numpy as np
import pytest
import xarray as xr

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def _examples_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_overview(tmp_path, capsys):
    import overview

    overview.main(tmp_path, draws=10, tune=5)
    assert "log evidence" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        "fit_DelaunayMagnification.png",
        "fit_Rectangular.png",
        "fit_VoronoiNN.png",
        "fit_VoronoiNN_positive.png",
        "fits.png",
        "posterior.nc",
        "posterior.png",
        "source.png",
    }
    with xr.open_datatree(tmp_path / "posterior.nc") as idata:
        assert abs(float(idata["posterior"]["einstein_radius"].mean()) - 1.6) < 0.01


@pytest.mark.slow
def test_recovery(tmp_path):
    """The truth of the shipped simulation lies within three standard deviations, and the chains agree."""
    import overview

    overview.main(tmp_path)
    with xr.open_datatree(tmp_path / "posterior.nc") as idata:
        posterior = idata["posterior"].to_dataset()[["einstein_radius", "ell_comps", "scale", "amplitude"]]
        assert int(idata["sample_stats"]["diverging"].sum()) == 0
        for name, truth in {"einstein_radius": 1.6, "ell_comps": np.array([0.17647, 0.0])}.items():
            mean, sd = posterior[name].mean(("chain", "draw")), posterior[name].std(("chain", "draw"))
            assert (np.abs(mean - truth) < 3 * sd).all(), name
        summary = az.summary(posterior, kind="diagnostics", round_to="none")
        assert summary["r_hat"].max() < 1.01
        assert summary["ess_bulk"].min() > 400


@pytest.mark.slow
def test_real_lens(tmp_path):
    """J0252+0039 against Bolton et al. 2008, who have 1.04 arcsec."""
    import fit_lens

    summary = fit_lens.fit(
        EXAMPLES / "data" / "J0252+0039", tmp_path, mask_radius=2.0, draws=500, tune=80, chains=2, seed=1
    )
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert summary["theta_e"]["mean"] == pytest.approx(1.04, rel=0.03)
    assert summary["divergences"] == 0
    assert 0.3 < summary["chi2_reduced"] < 1.2
    assert max(row["r_hat"] for row in summary["parameters"].values()) < 1.01
    assert min(row["ess_bulk"] for row in summary["parameters"].values()) > 400
    assert (tmp_path / "fit.png").exists()


def test_benchmark_rows(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES.parent / "benchmarks"))
    import evidence

    monkeypatch.setattr(sys, "argv", ["evidence.py", "--json", "--repeats", "1"])
    evidence.main()
    rows = json.loads(capsys.readouterr().out)
    keys = {"mesh", "value_ms", "value_and_gradient_ms", "mesh_ms", "lapack_ms", "peak_rss_mb"}
    assert all(keys <= set(row) for row in rows)
