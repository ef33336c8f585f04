"""Images of several parts: two sources at two redshifts, a source of Gaussians alone, and a sky.

    python examples/parts.py [OUT]

The image is simulated: a lens with light, a clump at redshift 1 that is a lens itself, a second one at
redshift 2, and a background that was not subtracted well.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import pymc_lens as pl

SHAPE, PIXEL_SCALE = (90, 90), 0.06


def tracer(near=None, far=None, near_light=None, far_light=None, lens_light=None):
    """A lens and two sources, pixelized or made of light; the nearer source has a mass too."""
    lens = pl.mass.Isothermal((0.0, 0.0), (0.1, -0.05), 1.4) + pl.mass.ExternalShear(0.03, 0.02)
    near_mass = pl.mass.Isothermal((0.05, 0.1), (0.0, 0.0), 0.2)
    return pl.Tracer(
        [
            pl.Galaxy(0.5, mass=lens, light=lens_light, name="lens"),
            pl.Galaxy(1.0, mass=near_mass, pixelization=near, light=near_light, name="near"),
            pl.Galaxy(2.0, pixelization=far, light=far_light, name="far"),
        ]
    )


def gaussian(y, x, centre, sigma, peak):
    return peak * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * sigma**2))


def simulated(seed: int = 1) -> pl.Imaging:
    truth, offsets = tracer(), np.arange(11) - 5
    psf = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.2**2))

    def in_front(y, x):
        traced = truth.traced_grid(np.stack([y, x], axis=-1), 1.0).eval()
        near = gaussian(traced[..., 0], traced[..., 1], (0.08, 0.12), 0.1, 1.5)
        return near + gaussian(y, x, (0.0, 0.0), 0.25, 4.0)

    dataset = pl.simulate_imaging(
        truth, lambda y, x: gaussian(y, x, (-0.12, 0.05), 0.09, 1.2), SHAPE, PIXEL_SCALE, psf,
        exposure_time=2000.0, background_noise=0.04, seed=seed, over_sample_size=4, lens_light=in_front,
    )  # fmt: skip
    dataset = dataset.with_data(dataset.data - 0.1, dataset.noise_map, dataset.unit)
    return dataset.apply_mask(pl.Mask2D.circular(SHAPE, PIXEL_SCALE, radius=2.5))


def fits(dataset: pl.Imaging) -> dict[str, pl.FitImaging]:
    lens_light = pl.light.MultiGaussian.log_spaced((0.0, 0.0), (0.0, 0.0), 0.06, 1.0, 6)
    # Windows keep each source where its arcs trace to: one that may shine anywhere would take a share of the
    # light of the lens, of the sky and of the other source.
    window = pl.mesh.RectangularWindow((24, 24), (-0.6, 0.6, -0.6, 0.6), degree=3)
    pixels = {
        name: pl.Pixelization(window, pl.regularization.MaternSPDE(0.15, 0.7)) for name in ("near", "far")
    }
    gaussians = {
        f"{name}_light": pl.light.MultiGaussian.log_spaced(centre, (0.0, 0.0), 0.04, 0.4, 6)
        for name, centre in (("near", (0.08, 0.12)), ("far", (-0.12, 0.05)))
    }
    return {
        "pixelized": pl.FitImaging(dataset, tracer(lens_light=lens_light, **pixels), sky=pl.Sky()),
        "gaussians": pl.FitImaging(dataset, tracer(lens_light=lens_light, **gaussians), sky=pl.Sky()),
    }


def main(out: Path) -> None:
    pl.make_folder(out)
    for name, fit in fits(simulated()).items():
        print(f"{name}: log evidence {fit.log_evidence:.1f}, sky {fit.coefficients['sky'][0]:.4f}")
        for source in fit.sources.values():
            print(f"    {source.name}: flux {source.flux:.4f}, magnification {source.magnification:.1f}")
        pl.plot.subplot_fit(fit).savefig(out / f"{name}.png", dpi=80)


if __name__ == "__main__":
    mpl.use("Agg")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "parts"))
