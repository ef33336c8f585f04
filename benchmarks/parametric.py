"""Time the log-likelihood of a lens whose source is a multi-Gaussian, with its gradient in all parameters.

No pixelized source: 10,000 pixels of 0.05", PSF 21 x 21, lens light of 17 Gaussians in two groups, and 9
Gaussians behind an isothermal with shear; amplitudes by non-negative least squares, and marginalised.

    python benchmarks/parametric.py [--repeats 200]
    python benchmarks/parametric.py --profile

``--profile`` prints where the time of the inversion goes, with its gradient.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pymc as pm
from evidence import PIXEL_SCALE, frame, milliseconds, psf
from function_times import print_function_times
from threadpoolctl import threadpool_limits

import pymc_lens as pl
from pymc_lens.inference.preflight import inputs_at

MASK_RADIUS = 2.821


def dataset() -> pl.Imaging:
    """An image of noise and a ring, with 10,000 pixels in its mask."""
    n, _ = frame(MASK_RADIUS)
    y, x = PIXEL_SCALE * (np.indices((n, n)) - (n - 1) / 2)
    ring = np.exp(-0.5 * ((np.hypot(y, x) - 1.2) / 0.15) ** 2) + 3.0 * np.exp(-0.5 * (y**2 + x**2) / 0.3**2)
    data = ring + 0.05 * np.random.default_rng(0).standard_normal((n, n))
    image = pl.Imaging(data, np.full((n, n), 0.05), psf(), PIXEL_SCALE)
    return image.apply_mask(pl.Mask2D.circular((n, n), PIXEL_SCALE, MASK_RADIUS))


def model(observed: pl.Imaging, positivity: str | None) -> pm.Model:
    """Thirteen parameters of mass, light and source."""
    with pm.Model() as built:
        inner, outer = (pl.priors.ell_comps(name, sigma=0.2) for name in ("inner", "outer"))
        light = pl.light.MultiGaussian(
            pm.Normal("light_centre", 0.0, 0.05, shape=2), [inner, outer],
            [np.geomspace(0.03, 1.0, 9), np.geomspace(0.1, 3.0, 8)], positivity=positivity,
        )  # fmt: skip
        lens = pl.mass.Isothermal(
            pm.Normal("mass_centre", 0.0, 0.05, shape=2),
            pl.priors.ell_comps("ell_comps", sigma=0.2),
            pm.TruncatedNormal("einstein_radius", 1.2, 0.2, lower=0.0),
        ) + pl.mass.ExternalShear(pm.Normal("gamma_1", 0.0, 0.05), pm.Normal("gamma_2", 0.0, 0.05))
        source = pl.light.MultiGaussian(
            pm.Normal("source_centre", 0.0, 0.2, shape=2), pl.priors.ell_comps("source_ell_comps", sigma=0.2),
            np.geomspace(0.025, 0.5, 9), positivity=positivity,
        )  # fmt: skip
        tracer = pl.Tracer([pl.Galaxy(0.5, mass=lens, light=light), pl.Galaxy(1.0, light=source)])
        pl.LensedImage("image", tracer, observed=observed)
    return built


def measure(positivity: str | None, repeats: int) -> dict[str, float]:
    built = model(dataset(), positivity)
    function = built.logp_dlogp_function(ravel_inputs=True)  # what NUTS calls
    function.set_extra_values({})
    points = points_of(built, repeats)
    arrays = inputs_of(built, points[:10])
    inversion = built["image"].owner.op.inversion
    function(points[0])
    return {
        "n_pixels": inversion.response.imaging.plane.n_pixels,
        "value_and_gradient_ms": median_ms(function, points),
        "of_that_inversion_ms": median_ms(inversion.log_evidence_and_gradient, arrays * 5),
    }


def points_of(built: pm.Model, number: int) -> list[pm.blocking.RaveledVars]:
    """Points around that from which samplers begin."""
    start = pm.blocking.DictToArrayBijection.map(built.initial_point())
    steps = 1e-2 * np.random.default_rng(1).standard_normal((number, start.data.size))
    return [start._replace(data=start.data + step) for step in steps]


def inputs_of(built: pm.Model, points: list[pm.blocking.RaveledVars]) -> list[Any]:
    rmap = pm.blocking.DictToArrayBijection.rmap
    return [inputs_at(built, built["image"], rmap(point)) for point in points]


def profile(positivity: str | None, repeats: int) -> None:
    built = model(dataset(), positivity)
    inversion = built["image"].owner.op.inversion
    arrays = inputs_of(built, points_of(built, 10))
    inversion.log_evidence_and_gradient(arrays[0])
    chosen = [arrays[k % len(arrays)] for k in range(repeats)]
    print_function_times([partial(inversion.log_evidence_and_gradient, each) for each in chosen])


def median_ms(function: Callable[[Any], object], points: list[Any]) -> float:
    return float(np.median([milliseconds(partial(function, point)) for point in points]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--profile", action="store_true", help="print where the inversion's time goes")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        for positivity in ("nnls", None):
            if arguments.profile:
                print(f"positivity={positivity}")
                profile(positivity, arguments.repeats)
                continue
            row = measure(positivity, arguments.repeats)
            print(f"positivity={positivity}: " + json.dumps(row))


if __name__ == "__main__":
    main()
