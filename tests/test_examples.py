"""The scripts in examples/ run as they are, with fewer draws."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def _examples_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_meshes(tmp_path, capsys):
    import meshes

    meshes.main(tmp_path)
    assert "log evidence" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        "fit_DelaunayMagnification.png",
        "fit_Rectangular.png",
        "fit_VoronoiNN.png",
        "fit_VoronoiNN_positive.png",
        "fits.png",
    }


def test_parts(tmp_path, capsys):
    """The Gaussians hold the truth: fluxes and the sky are those that were simulated, in the mean."""
    import parts

    parts.main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"pixelized.png", "gaussians.png"}
    assert capsys.readouterr().out.count("magnification") == 4
    fits = [parts.fits(parts.simulated(seed))["gaussians"] for seed in range(1, 6)]
    near, far = ([fit.sources[f"{name}_light"].flux for fit in fits] for name in ("near", "far"))
    assert np.mean(near) == pytest.approx(2.0 * np.pi * 1.5 * 0.1**2, rel=0.1)
    assert np.mean(far) == pytest.approx(2.0 * np.pi * 1.2 * 0.09**2, rel=0.1)
    assert np.mean([fit.coefficients["sky"] for fit in fits]) == pytest.approx(-0.1, abs=0.02)


@pytest.mark.slow
def test_quasar():
    """Image, positions and delays of a simulated quasar together: mass and H0 within three sigma."""
    import quasar

    _, idata = quasar.fitted(quasar.simulated(), progressbar=False)
    posterior = idata["posterior"].to_dataset()
    for name, truth in quasar.TRUTH.items():
        mean, sd = (getattr(posterior[name], of)(("chain", "draw")).values for of in ("mean", "std"))
        np.testing.assert_array_less(np.abs(mean - truth), 3.0 * sd, err_msg=name)
    assert float(posterior["H0"].std()) < 5.0


@pytest.mark.slow
def test_real_lens(tmp_path, monkeypatch, capsys):
    """J0252+0039 against Bolton et al. 2008, who have 1.04 arcsec."""
    import fit_lens

    monkeypatch.setattr(
        sys, "argv", ["fit_lens.py", str(EXAMPLES / "data" / "J0252+0039"), "--out", str(tmp_path)]
    )
    fit_lens.main()
    assert "keep" in capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["theta_e"]["mean"] == pytest.approx(1.04, rel=0.03)
    assert summary["diagnostic"] < 0.7
    assert summary["ess"] > 400
    assert 0.3 < summary["chi2_reduced"] < 1.2
    assert (tmp_path / "fit.png").exists()


@pytest.mark.slow
def test_benchmark_rows(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES.parent / "benchmarks"))
    import evidence

    monkeypatch.setattr(evidence, "NAMES", ["VoronoiNN"])
    monkeypatch.setattr(sys, "argv", ["evidence.py", "--json", "--repeats", "1"])
    evidence.main()
    rows = json.loads(capsys.readouterr().out)
    keys = {"mesh", "value_ms", "value_and_gradient_ms", "mesh_ms", "lapack_ms", "peak_rss_mb"}
    assert all(keys <= set(row) for row in rows)
    assert [row["mesh"] for row in rows] == ["VoronoiNN"]
