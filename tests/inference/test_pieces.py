"""NUTS in pieces: it ends when its chains agree, and goes on from what is on disk."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest

import pymc_lens as pl
from pymc_lens.inference.pieces import sample_until_agreed
from pymc_lens.inference.sample import _nuts

DRAWS, EFFECTIVE = 100, 200


@pytest.fixture(scope="module", name="problem")
def _problem():
    """A correlated normal, whose bounded coordinate is transformed."""
    with pm.Model() as model:
        x = pm.Normal("x", 2.0, 3.0, shape=2)
        pm.Normal("y", x[0], 0.5)
        pm.Gamma("width", 20.0, 10.0)
    return model, pl.find_mode(model, progressbar=False, cores=1)


class Pieces:
    """PyMC's NUTS, told from where, which remembers what it was told, and may be interrupted."""

    def __init__(self, model, interrupted_after=10):
        self.model, self.rng, self.told = model, np.random.default_rng(1), []
        self.interrupted_after = interrupted_after

    def __call__(self, mode, tune, ends):
        if len(self.told) == self.interrupted_after:
            raise KeyboardInterrupt
        self.told.append((mode, tune, ends))
        kwargs = {"draws": DRAWS, "tune": tune, "chains": 2, "cores": 1, "progressbar": False}
        kwargs |= {"compute_convergence_checks": False} | ({} if ends is None else {"initvals": ends})
        return _nuts("pymc", self.model, self.rng, 0.8, 8, mode, kwargs)


def sampled(problem, pieces, effective, checkpoint=None, digest="of this"):
    return sample_until_agreed(pieces, *problem, DRAWS, effective, 100, checkpoint, digest)


def test_it_goes_on_until_there_are_enough_draws(problem):
    model, mode = problem
    pieces = Pieces(model)
    idata = sampled(problem, pieces, EFFECTIVE)
    posterior = idata["posterior"]
    n_pieces = len(pieces.told)
    assert 2 <= n_pieces <= 4
    assert posterior.sizes["draw"] == idata["sample_stats"].sizes["draw"] == n_pieces * DRAWS
    np.testing.assert_array_equal(posterior["draw"], np.arange(n_pieces * DRAWS))
    mean, sd = posterior["x"].mean(("chain", "draw")), posterior["x"].std(("chain", "draw"))
    np.testing.assert_allclose(mean, 2.0, atol=4 * 3.0 / np.sqrt(EFFECTIVE))
    np.testing.assert_allclose(sd, 3.0, rtol=0.25)
    # Each begins where the one before ended, with the covariance of what was drawn.
    _, tune, ends = pieces.told[1]
    assert tune < 100
    for chain, end in enumerate(ends):
        np.testing.assert_array_equal(end["x"], posterior["x"][chain, DRAWS - 1])
    covariance = pieces.told[1][0].covariance
    np.testing.assert_allclose(np.diag(covariance), np.diag(mode.covariance), rtol=0.6)
    assert covariance.shape == mode.covariance.shape


def test_it_says_so_where_chains_do_not_agree(problem):
    pieces = Pieces(problem[0])
    with pytest.warns(UserWarning, match=r"without agreement of its chains: .* of 100000 effective draws"):
        idata = sampled(problem, pieces, 100_000)
    assert idata["posterior"].sizes["draw"] == 4 * DRAWS


def test_what_is_on_disk_is_gone_on_from(problem, tmp_path):
    path = tmp_path / "draws.nuts.nc"
    with pytest.raises(KeyboardInterrupt):
        sampled(problem, Pieces(problem[0], interrupted_after=1), EFFECTIVE, path)
    later = Pieces(problem[0])
    idata = sampled(problem, later, EFFECTIVE, path)
    assert idata["posterior"].sizes["draw"] == (1 + len(later.told)) * DRAWS
    assert later.told[0][2] is not None
    again = sampled(problem, Pieces(problem[0], interrupted_after=0), EFFECTIVE, path)
    np.testing.assert_array_equal(again["posterior"]["x"], idata["posterior"]["x"])
    with pytest.raises(ValueError, match="holds draws of another model"):
        sampled(problem, later, EFFECTIVE, path, digest="of another")


def test_what_was_interrupted_within_a_piece_is_gone_on_from(problem, tmp_path):
    """After Ctrl-C PyMC returns the draws there are."""
    path, pieces = tmp_path / "draws.nuts.nc", Pieces(problem[0])

    def interrupted(mode, tune, ends):
        return pieces(mode, tune, ends).isel(draw=slice(0, 30))

    idata = sampled(problem, interrupted, EFFECTIVE, path)
    assert idata["posterior"].sizes["draw"] == 30
    later = Pieces(problem[0])
    idata = sampled(problem, later, EFFECTIVE, path)
    assert idata["posterior"].sizes["draw"] == 30 + len(later.told) * DRAWS
    assert later.told
