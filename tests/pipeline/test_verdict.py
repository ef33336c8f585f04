"""Grades of an unattended fit, from numbers that are known."""

from __future__ import annotations

import numpy as np
import pytest
from problems import mass, simulated

import pymc_lens as pl
from pymc_lens.pipeline import verdict as judged
from pymc_lens.pipeline.places import distances, on_sky


def fitted(lens, mesh=None):
    pixelization = pl.Pixelization(
        mesh or pl.mesh.VoronoiNN(pl.image_mesh.Overlay((14, 14))), pl.regularization.Dirichlet(3.0)
    )
    return pl.FitImaging(
        simulated(), pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(1.0, pixelization=pixelization)])
    )


def grades(criteria):
    return {each.name: each.grade for each in criteria}


def test_a_right_lens_is_kept():
    criteria = judged.of_fit(fitted(mass(1.0)), (0.0, 0.0), 1.0, 1.01)
    assert set(grades(criteria).values()) == {"keep"}
    assert judged.Verdict.of(criteria).reasons == []


def test_a_lens_that_bends_nothing_is_no_lens():
    """Its source is a copy of the image: magnification one, a single image."""
    lens = pl.mass.Isothermal(einstein_radius=0.02)
    criteria = judged.of_fit(fitted(lens), (0.0, 0.0), 0.02, 1.0)
    found = grades(criteria)
    assert found["magnification"] == found["counter_image"] == found["arc_radius"] == "fail"
    verdict = judged.Verdict.of(criteria)
    assert verdict.grade == "fail"
    assert any("hardly magnified" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("half", [0.7, 1.4])
def test_the_magnification_is_that_of_what_shines(half):
    """However much of the window around it has noise for a source."""
    lens, clump, scale = pl.mass.Isothermal(einstein_radius=1.0), (0.3, 0.1), 0.06
    mesh = pl.mesh.RectangularWindow((32, 32), (-half, half, -half, half), degree=3)
    pixelization = pl.Pixelization(mesh, pl.regularization.MaternSPDE(0.15, 0.5))
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(1.0, pixelization=pixelization)])

    def source(y, x):
        return np.exp(-((y - clump[0]) ** 2 + (x - clump[1]) ** 2) / (2 * 0.12**2))

    dataset = pl.simulate_imaging(
        tracer, source, (71, 71), scale, np.ones((1, 1)), 1e9, 0.1, seed=2
    ).apply_mask(pl.Mask2D.circular((71, 71), scale, 2.0))  # fmt: skip
    criteria = judged.of_fit(pl.FitImaging(dataset, tracer), (0.0, 0.0), 1.0, 1.0)
    (found,) = [each.value for each in criteria if each.name == "magnification"]
    y, x = np.meshgrid(*2 * [np.linspace(-2.0, 2.0, 1001)], indexing="ij")
    away = np.hypot(y, x) + 1e-12
    of_image, of_source = source(y - y / away, x - x / away), source(y, x)
    assert found == pytest.approx(of_image[of_image > 0.3].sum() / of_source[of_source > 0.3].sum(), rel=0.08)


def test_residuals_and_disagreement_want_a_look():
    criteria = judged.of_fit(fitted(mass(1.06)), (0.0, 0.0), 1.06, 1.0)
    found = grades(criteria)
    assert found["agreement"] == "review"
    assert found["chi2_arcs"] != "keep"


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (judged.of_search(500.0, []), "keep"),
        (judged.of_search(500.0, [0.2, 0.01]), "review"),
        (judged.of_search(60.0, []), "review"),
        (judged.of_search(5.0, []), "fail"),
        (judged.of_remarks(["edge"]), "review"),
        (judged.of_sampling({"pareto_k": 0.3}, 390.0, 400.0, 1.0), "keep"),
        (judged.of_sampling({"pareto_k": 0.8}, 390.0, 400.0, 1.0), "review"),
        (judged.of_sampling({}, 390.0, 400.0, 1.005), "keep"),
        (judged.of_sampling({}, 390.0, 400.0, 1.3), "fail"),
        (judged.of_sampling({}, 10.0, 400.0, 1.0), "fail"),
    ],
)
def test_thresholds(criteria, expected):
    verdict = judged.Verdict.of(criteria)
    assert verdict.grade == expected
    assert bool(verdict.reasons) == (expected != "keep")
    assert all(each.reason for each in criteria if each.grade != "keep")


def test_places_are_those_of_the_frame():
    dataset = pl.Imaging(
        np.zeros((11, 13)), np.ones((11, 13)), np.ones((1, 1)), 0.1, offset=(1.0, -2.0), rotation=30.0
    )
    for row, col in ((0, 0), (7, 4)):
        place = on_sky(dataset, row, col)
        away = distances(dataset, place)
        assert away[row, col] == pytest.approx(0.0, abs=1e-12)
        assert away[row, col + 3] == pytest.approx(0.3)
        assert place == pytest.approx(dataset.plane.grid[row * 13 + col])


def test_a_lens_whose_rival_is_as_probable_is_looked_at():
    assert judged.of_rivals([]) == []
    assert grades(judged.of_rivals([300.0, 12.0])) == {"joint_rival": "keep"}
    assert grades(judged.of_rivals([300.0, 3.0])) == {"joint_rival": "review"}
