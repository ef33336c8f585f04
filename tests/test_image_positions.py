"""Positions of the images of a point: their density, their draws, and what they tell of a lens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from pytensor.compile.mode import Mode
from scipy.optimize import least_squares, minimize
from scipy.stats import multivariate_normal

import pymc_lens as pl

ONCE = Mode("py", None)
TRUTH = {"einstein_radius": 1.2, "e_y": 0.1, "e_x": -0.08, "gamma_1": 0.04, "gamma_2": -0.03}
SOURCE = (0.05, 0.08)


def lens(
    einstein_radius: Any = 1.2, e_y: Any = 0.1, e_x: Any = -0.08, gamma_1: Any = 0.04, gamma_2: Any = -0.03,
    centre: Any = (0.01, -0.02),
) -> pl.Tracer:  # fmt: skip
    mass = pl.mass.Isothermal(centre, (e_y, e_x), einstein_radius) + pl.mass.ExternalShear(gamma_1, gamma_2)
    return pl.Tracer([pl.Galaxy(0.5, mass=mass), pl.Galaxy(2.0)])


def lenstronomy_images(source: tuple[float, float] = SOURCE, **changes: float) -> np.ndarray:
    """Images (n, 2) of a point, by lenstronomy alone."""
    values = TRUTH | changes
    isothermal = pl.convert.isothermal_to_lenstronomy(
        values["einstein_radius"], (values["e_y"], values["e_x"]), (0.01, -0.02)
    )
    kwargs = [isothermal, {"gamma1": values["gamma_1"], "gamma2": values["gamma_2"]}]
    x, y = LensEquationSolver(LensModel(["SIE", "SHEAR"])).image_position_from_source(
        source[1], source[0], kwargs, precision_limit=1e-13, min_distance=0.02, search_window=5.0,
        num_iter_max=200,
    )  # fmt: skip
    return np.stack([y, x], axis=-1)


QUAD = lenstronomy_images()


def log_density(
    positions: np.ndarray, tracer: pl.Tracer | None = None, near: Any = None, **kwargs: Any
) -> float:
    near = positions if near is None else near
    variable = pl.ImagePositions.dist(tracer or lens(), near, **({"sigma": 0.05} | kwargs))
    return float(pm.logp(variable, positions).eval(mode=ONCE))


def moments(
    positions: np.ndarray, tracer: pl.Tracer, sigma: float, source_sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance matrix of the same Gaussian, without a softening."""
    jacobians = np.array([part.eval(mode=ONCE) for part in tracer.jacobian(positions)]).T.reshape(-1, 2, 2)
    traced = tracer.traced_grid(positions).eval(mode=ONCE)
    stretches = np.linalg.inv(jacobians)
    mean = positions - np.einsum("nij,nj->ni", stretches, traced)
    by_source = stretches.reshape(-1, 2)
    return mean.ravel(), sigma**2 * np.eye(positions.size) + source_sigma**2 * by_source @ by_source.T


def test_four_images_were_found() -> None:
    assert len(QUAD) == 4


@pytest.mark.parametrize("shift", [0.0, 0.02])
def test_density_is_the_gaussian_of_the_images(shift: float, rng: np.random.Generator) -> None:
    positions = QUAD + shift * rng.standard_normal(QUAD.shape)
    tracer = lens(1.21)
    # Of the largest stretch here, 1 / 0.2, the softening makes 0.25 %.
    expected = multivariate_normal(*moments(positions, tracer, 0.05, 1.0)).logpdf(positions.ravel())
    assert log_density(positions, tracer) == pytest.approx(expected, abs=0.02)


def test_density_is_normalised_over_positions() -> None:
    """Importance sampling of its integral from a wider Gaussian around its own draws."""
    near = QUAD[:2]
    variable = pl.ImagePositions.dist(lens(), near, 0.05, source_sigma=0.05)
    several = pl.ImagePositions.dist(lens(), near, 0.05, source_sigma=0.05, shape=(4000, 2, 2))
    draws = pm.draw(several, random_seed=1, mode=ONCE).reshape(4000, 4)
    proposal = multivariate_normal(draws.mean(axis=0), 1.5 * np.cov(draws.T), seed=2)
    points = proposal.rvs(4000)
    densities = pm.logp(variable, pt.as_tensor_variable(points.reshape(-1, 2, 2))).eval(mode=ONCE)
    weights = np.exp(densities - proposal.logpdf(points))
    assert np.mean(weights) == pytest.approx(1.0, abs=4.0 * np.std(weights) / np.sqrt(len(weights)))


def exact_chi_squared(positions: np.ndarray, sigma: float, **changes: float) -> float:
    """Of images in the image plane, at the best source: by lenstronomy's solver."""

    def residual(source: np.ndarray) -> np.ndarray:
        images = lenstronomy_images(tuple(source), **changes)
        nearest = np.linalg.norm(positions[:, None] - images, axis=-1).argmin(axis=1)
        return ((positions - images[nearest]) / sigma).ravel()

    return 2.0 * float(least_squares(residual, SOURCE, diff_step=1e-4, xtol=1e-6).cost)


@pytest.mark.parametrize("changes", [{"einstein_radius": 1.2001}, {"gamma_1": 0.04005}], ids=str)
def test_small_errors_count_as_in_the_image_plane(changes: dict[str, float]) -> None:
    sigma, scale = 5e-5, 10.0
    _, covariance = moments(QUAD, lens(**changes), sigma, scale)
    density = log_density(QUAD, lens(**changes), sigma=sigma, source_sigma=scale)
    constant = np.linalg.slogdet(covariance)[1] + 8.0 * np.log(2.0 * np.pi)
    assert -2.0 * density - constant == pytest.approx(exact_chi_squared(QUAD, sigma, **changes), rel=0.02)


def compiled(sigma: float, positions: np.ndarray) -> Any:
    """Log density and its gradient, of the five parameters of `TRUTH`."""
    parameters = pt.vector("parameters", shape=(5,))
    density = pm.logp(
        pl.ImagePositions.dist(lens(*(parameters[i] for i in range(5))), positions, sigma), positions
    )
    # Weak priors of a shear and of an ellipticity, as in a model.
    density = density - 0.5 * ((parameters[1:] / np.array([0.2, 0.2, 0.05, 0.05])) ** 2).sum()
    outputs = [density, pytensor.grad(density, parameters)]
    return pytensor.function([parameters], outputs, mode=Mode("py", "fast_compile"))


def test_gradient_is_that_of_differences(rng: np.random.Generator) -> None:
    function = compiled(0.05, QUAD + 0.01 * rng.standard_normal(QUAD.shape))
    point = np.array(list(TRUTH.values())) + 0.02
    for i, exact in enumerate(function(point)[1]):
        step = 1e-4 * np.eye(5)[i]
        sides = [weight * function(point + k * step)[0] for weight, k in ((8, 1), (-8, -1), (-1, 2), (1, -2))]
        assert exact == pytest.approx(sum(sides) / 12e-4, rel=1e-6)


def test_quad_tells_einstein_radius_and_shear(rng: np.random.Generator) -> None:
    sigma = 0.005
    function = compiled(sigma, QUAD + sigma * rng.standard_normal(QUAD.shape))

    def negative(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = function(point)
        return -value, -gradient

    # From a round lens: the term leads to the images, however far it starts.
    found = minimize(negative, [1.0, 0.0, 0.0, 0.0, 0.0], jac=True, method="BFGS", options={"gtol": 1e-4})
    steps = 1e-5 * np.eye(5)
    hessian = np.array([(function(found.x - s)[1] - function(found.x + s)[1]) / 2e-5 for s in steps])
    deviations = np.sqrt(np.linalg.inv(0.5 * (hessian + hessian.T)).diagonal())
    truth = np.array(list(TRUTH.values()))
    assert (np.abs(found.x - truth) < 3.0 * deviations).all()
    assert deviations[0] < 0.02


def test_finite_across_critical_curves() -> None:
    curve = pl.quantities.critical_curves(lens(), (-3.0, 3.0, -3.0, 3.0)).critical[0]
    positions = np.vstack([QUAD[:1], curve[10], QUAD[2:3]])
    function = compiled(0.05, positions)
    values = []
    for radius in np.linspace(1.19, 1.21, 41):
        value, gradient = function(np.array([radius, *list(TRUTH.values())[1:]]))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        values.append(value)
    assert np.ptp(values) > 1.0


def test_inadmissible_lens_has_no_density() -> None:
    assert log_density(QUAD, lens(e_y=pt.as_tensor_variable(1.2))) == -np.inf
    assert log_density(QUAD, sigma=pt.as_tensor_variable(-0.1)) == -np.inf


def test_draws_are_images_of_the_source() -> None:
    """Of a known source and without errors they are the solver's, to second order in the distance."""
    near = QUAD + 0.002 * np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, 0.0]])
    variable = pl.ImagePositions.dist(lens(), near, 1e-9, source_centre=SOURCE, source_sigma=1e-9)
    np.testing.assert_allclose(pm.draw(variable, random_seed=1, mode=ONCE), QUAD, atol=2e-4)


def test_in_a_model() -> None:
    with pm.Model() as model:
        radius = pm.Normal("radius", 1.2, 0.01)
        pl.ImagePositions("positions", lens(radius), observed=QUAD, sigma=[0.01, 0.02, 0.01, 0.01])
        free = pl.ImagePositions("free", lens(radius), near=QUAD, sigma=0.01)
        prior = pm.sample_prior_predictive(30, random_seed=1, compile_kwargs={"mode": ONCE})
    assert model["positions"] in model.observed_RVs
    assert free in model.free_RVs
    draws = prior["prior_predictive"]["positions"]
    assert draws.dims == ("chain", "draw", "positions_image", "yx")
    assert list(draws["yx"].values) == ["y", "x"]
    assert np.isfinite(draws).all()
    np.testing.assert_array_equal(prior["observed_data"]["positions"], QUAD)
    np.testing.assert_array_equal(model.initial_point()["free"], QUAD)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"observed": QUAD[:1]}, ValueError, "observed: expected at least two images"),
        ({"observed": QUAD.T}, ValueError, r"observed: expected positions \(y, x\)"),
        ({"observed": QUAD[0]}, ValueError, r"observed: expected positions \(y, x\)"),
        ({"observed": [(1.0, np.nan), (0.0, 1.0)]}, ValueError, "observed: expected finite numbers"),
        ({"observed": [(1.0, 0.0), (1.0, 0.0)]}, ValueError, "observed: expected images at places"),
        ({"observed": "quad"}, TypeError, "observed: expected real numbers"),
        ({"observed": pt.dmatrix("positions")}, TypeError, "observed: expected plain numbers"),
        ({"observed": QUAD, "near": QUAD}, TypeError, "observed: give the positions"),
        ({"observed": None}, TypeError, "observed: give the positions"),
        ({"observed": None, "near": QUAD[:1]}, ValueError, "near: expected at least two images"),
        ({"sigma": 0.0}, ValueError, "sigma: expected a positive number"),
        ({"sigma": [0.1, 0.1, 0.1, -0.1]}, ValueError, "sigma: expected positive numbers"),
        ({"sigma": [0.1, 0.1]}, ValueError, "sigma: expected 4 finite numbers"),
        ({"sigma": None}, TypeError, "sigma: expected real numbers"),
        ({"source_sigma": -1.0}, ValueError, "source_sigma: expected a positive number"),
        ({"source_centre": 0.0}, ValueError, "source_centre: expected a pair"),
        ({"redshift": 3.0}, ValueError, "redshift: expected 0 to"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pm.Model(), pytest.raises(error, match=message):
        pl.ImagePositions("positions", lens(), **({"observed": QUAD, "sigma": 0.05} | changes))


def test_wants_a_tracer() -> None:
    with pm.Model(), pytest.raises(TypeError, match="tracer: expected a Tracer"):
        pl.ImagePositions("positions", pl.mass.Isothermal(), observed=QUAD, sigma=0.05)
