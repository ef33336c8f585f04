"""How smooth ln E is along each mass parameter, for every mesh and prior.

    python benchmarks/roughness.py [--json] [--default] [--data D] [--mesh M] [--prior P] [--positive]

Two scans each, in units of the conditional standard deviation sigma of the parameter: a wide one of 121
points over +-8 sigma, from which a polynomial of degree 10 is removed (``rms``, nats), and a fine one of 41
points over 0.05 sigma less a cubic (``fine_rms``, ``fine_max``). What is left is roughness, and at wide scale
some true shape. The prior's parameters are first set to the highest evidence.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lens_model
import numpy as np
import posterior
import pytensor
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable
from rich.console import Console
from rich.progress import Progress
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

import pymc_lens as pl
from pymc_lens.assembly import assemble

DEMO_DATA = Path(__file__).parents[1] / "examples" / "data" / "J0252+0039"
DIRECTIONS = ("einstein_radius", "ell_comps_0", "ell_comps_1", "gamma_1", "gamma_2", "centre_0", "centre_1")
# What to sample with: by far the smoothest. Traced vertices reach a higher evidence where detail is fine.
DEFAULT = ("RectangularWindow cubic", "AdaptAmplitude")
# The prior of some parameters for a case, and where to start the search for the best ones.
PRIORS = {
    "Constant": (lambda _, *parameters: pl.regularization.Constant(*parameters), [1.0]),
    "Dirichlet": (lambda _, *parameters: pl.regularization.Dirichlet(*parameters), [1.0]),
    "MaternSPDE": (lambda _, *parameters: pl.regularization.MaternSPDE(*parameters), [0.2, 0.5]),
    "AdaptAmplitude": (
        lambda case, scale, amplitude, *parameters: pl.regularization.AdaptAmplitude(
            pl.regularization.MaternSPDE(scale, amplitude), case.adapt_image, *parameters
        ),
        [0.1, 0.5, 0.02, 1.0],
    ),
}


@dataclass(frozen=True)
class Case:
    """A dataset with a lens close to the mode of its posterior."""

    dataset: pl.Imaging
    point: tuple[float, ...]
    light: pl.light.MultiGaussian | None
    shape: tuple[int, int]
    window: tuple[float, float, float, float]

    def lens(self, mass: np.ndarray | TensorVariable) -> pl.Galaxy:
        isothermal = pl.mass.Isothermal(
            centre=(mass[5], mass[6]), ell_comps=(mass[1], mass[2]), einstein_radius=mass[0]
        )
        shear = pl.mass.ExternalShear(gamma_1=mass[3], gamma_2=mass[4])
        return pl.Galaxy(redshift=0.5, mass=isothermal + shear, light=self.light)

    @property
    def _overlay(self) -> pl.mesh.VoronoiNN:
        return pl.mesh.VoronoiNN(pl.image_mesh.Overlay(self.shape, rotation=17.0))

    @cached_property
    def adapt_image(self) -> np.ndarray:
        """Lensed source of a fit at the point."""
        prior = pl.regularization.MaternSPDE(0.2, 0.5)
        source = pl.Galaxy(1.0, pixelization=pl.Pixelization(self._overlay, prior))
        tracer = pl.Tracer([self.lens(np.array(self.point)), source])
        return pl.FitImaging(self.dataset, tracer).adapt_image

    @cached_property
    def meshes(self) -> dict[str, pl.mesh.Mesh]:
        inner = tuple(int(0.9 * n) for n in self.shape)
        return {
            "Rectangular": pl.mesh.Rectangular(inner),
            "RectangularWindow": pl.mesh.RectangularWindow(inner, self.window),
            "RectangularWindow cubic": pl.mesh.RectangularWindow(inner, self.window, degree=3),
            "DelaunayMagnification": pl.mesh.DelaunayMagnification(self.shape),
            "VoronoiNN": self._overlay,
            "VoronoiNN KMeans": pl.mesh.VoronoiNN(
                pl.image_mesh.KMeans(int(0.8 * np.prod(self.shape)), self.adapt_image)
            ),
        }


def simulated() -> Case:
    # About one sigma from the truth (1.6, 0.17647, 0, 0, 0, 0, 0).
    point = (1.6002, 0.1767, 0.0002, 0.0001, -0.0001, 0.0003, -0.0003)
    return Case(posterior.dataset(), point, None, (40, 40), (-1.3, 1.3, -1.3, 1.3))


def real() -> Case:
    dataset = lens_model.load(DEMO_DATA, 2.0)
    # About the mean of the posterior that `make demo` samples.
    point = (1.0299, 0.0646, 0.0360, 0.0042, 0.0327, -0.0055, -0.0143)
    light = pl.light.MultiGaussian(
        (0.0049, -0.0019), [(-0.0318, 0.0162), (0.0198, 0.0320)], lens_model.LIGHT_SIGMAS
    )
    return Case(dataset, point, light, (34, 34), (-0.45, 0.35, -0.25, 0.55))


CASES = {"simulated": simulated, "J0252+0039": real}


def log_evidence(
    case: Case, mesh: pl.mesh.Mesh, prior: Callable, n_prior: int, positivity: str | None
) -> Callable[[np.ndarray, np.ndarray], float]:
    """ln E as a function of the mass parameters and those of the prior."""
    mass, regularization = pt.dvector("mass"), pt.dvector("regularization")
    lens = case.lens(mass)
    built = prior(case, *[regularization[k] for k in range(n_prior)])
    source = pl.Galaxy(redshift=1.0, pixelization=pl.Pixelization(mesh, built, positivity))
    problem, inputs = assemble(pl.Tracer([lens, source]), case.dataset)
    function = pytensor.function([mass, regularization], list(inputs), on_unused_input="ignore")
    data = case.dataset.data_fitted
    return lambda point, parameters: problem.log_evidence((data, *function(point, parameters)))


def best_prior(evidence: Callable, point: np.ndarray, start: list[float]) -> np.ndarray:
    result = minimize(
        lambda logs: -evidence(point, np.exp(logs)),
        np.log(start),
        method="Nelder-Mead",
        options={"xatol": 0.02, "fatol": 0.05, "initial_simplex": _simplex(np.log(start))},
    )
    return np.exp(result.x)


def _simplex(start: np.ndarray) -> np.ndarray:
    return start + np.vstack([np.zeros(start.size), np.eye(start.size)])


def conditional_sigma(along: Callable[[float], float]) -> float:
    """From the curvature over one sigma to either side."""
    step, middle = 1e-4, along(0.0)
    for _ in range(4):
        step = abs(along(step) - 2.0 * middle + along(-step)) ** -0.5 * step
    return step


def residual(offsets: np.ndarray, values: np.ndarray, degree: int) -> np.ndarray:
    scaled = offsets / np.abs(offsets).max()
    # Chebyshev: the monomials of degree 10 are too nearly dependent.
    fit = np.polynomial.Chebyshev.fit(scaled, values - values.mean(), degree, domain=[-1, 1])
    return values - values.mean() - fit(scaled)


def measure(
    data: str, case: Case, mesh: str, prior: str, positivity: str | None, progress: Progress
) -> list[dict]:
    kind, start = PRIORS[prior]
    evidence = log_evidence(case, case.meshes[mesh], kind, len(start), positivity)
    point = np.array(case.point)
    parameters = best_prior(evidence, point, start)
    rows = []
    for k, direction in enumerate(progress.track(DIRECTIONS, description=f"{data}, {mesh}, {prior}")):
        unit = np.eye(point.size)[k]

        def along(offset: float, unit: np.ndarray = unit) -> float:
            return evidence(point + offset * unit, parameters)

        sigma = conditional_sigma(along)
        wide, fine = np.linspace(-8, 8, 121) * sigma, np.linspace(-0.025, 0.025, 41) * sigma
        wide_left = residual(wide, np.array([along(offset) for offset in wide]), 10)
        fine_left = residual(fine, np.array([along(offset) for offset in fine]), 3)
        rows.append(
            {
                "data": data,
                "mesh": mesh,
                "regularization": prior,
                "direction": direction,
                "sigma": sigma,
                "rms": float(np.sqrt(np.mean(wide_left**2))),
                "fine_rms": float(np.sqrt(np.mean(fine_left**2))),
                "fine_max": float(np.abs(fine_left).max()),
                "log_evidence": evidence(point, parameters),
                "positivity": positivity,
                "default": (mesh, prior) == DEFAULT,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--default", action="store_true", help="only the default mesh and prior")
    parser.add_argument("--positive", action="store_true", help="with a positive source")
    parser.add_argument("--data", choices=sorted(CASES), help="only this dataset")
    parser.add_argument("--mesh", help="only this mesh")
    parser.add_argument("--prior", choices=sorted(PRIORS), help="only this prior")
    arguments = parser.parse_args()
    positivity = "map" if arguments.positive else None
    rows = []
    with threadpool_limits(1), Progress(console=Console(stderr=True)) as progress:
        for data in [arguments.data] if arguments.data else CASES:
            case = CASES[data]()
            for mesh in case.meshes:
                for prior in PRIORS:
                    chosen = arguments.mesh in (None, mesh) and arguments.prior in (None, prior)
                    if chosen and (not arguments.default or (mesh, prior) == DEFAULT):
                        rows += measure(data, case, mesh, prior, positivity, progress)
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['data']:10s} {row['mesh']:21s} {row['regularization']:14s} {row['direction']:15s} "
            f"sigma {row['sigma']:.2e}, rms {row['rms']:.4f}, fine rms {row['fine_rms']:.1e}, "
            f"fine max {row['fine_max']:.1e}, ln E {row['log_evidence']:.2f}{' (default)' * row['default']}"
        )


if __name__ == "__main__":
    main()
