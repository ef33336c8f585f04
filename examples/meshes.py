"""Fits of one lens on several meshes, side by side.

    python examples/meshes.py [OUT]

The dataset is a simulated lens with a clumpy source (examples/data/source_complex, truth in its README).
"""

import sys
from pathlib import Path

import matplotlib as mpl

import pymc_lens as pl

DATA = Path(__file__).parent / "data" / "source_complex"


def tracer(einstein_radius, ell_comps, mesh, regularization, positivity=None):
    lens = pl.Galaxy(
        redshift=0.5,
        mass=pl.mass.Isothermal(centre=(0.0, 0.0), ell_comps=ell_comps, einstein_radius=einstein_radius),
    )
    source = pl.Galaxy(
        redshift=1.0,
        pixelization=pl.Pixelization(mesh, regularization, positivity),
    )
    return pl.Tracer([lens, source])


def main(out: Path) -> None:
    pl.make_folder(out)
    dataset = pl.Imaging.from_fits(
        DATA / "data.fits", DATA / "psf.fits", DATA / "noise_map.fits", pixel_scales=0.05
    )
    mask = pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, radius=3.6)
    dataset = dataset.apply_mask(mask)

    # Rectangular follows the rays, as PyAutoLens's does; the vertices of the others are
    # traced from the image plane, so that they are dense where the magnification is high. With positivity no
    # source pixel may be negative.
    overlay = pl.image_mesh.Overlay(shape=(40, 40))
    pixelizations = {
        "Rectangular": (pl.mesh.Rectangular(shape=(40, 40)), pl.regularization.Constant(coefficient=1.0)),
        "DelaunayMagnification": (
            pl.mesh.DelaunayMagnification(shape=(40, 40)),
            pl.regularization.Constant(coefficient=1.0),
        ),
        "VoronoiNN": (pl.mesh.VoronoiNN(overlay), pl.regularization.MaternSPDE(scale=0.15, amplitude=0.5)),
        "VoronoiNN_positive": (
            pl.mesh.VoronoiNN(overlay),
            pl.regularization.MaternSPDE(scale=0.15, amplitude=0.5),
            "map",
        ),
    }
    fits = {
        name: pl.FitImaging(dataset, tracer(1.6, (0.17647, 0.0), *pixelization))
        for name, pixelization in pixelizations.items()
    }
    for name, fit in fits.items():
        print(
            f"{name}: log evidence {fit.log_evidence:.2f}, reduced chi-squared {fit.reduced_chi_squared:.3f}"
        )
        pl.plot.subplot_fit(fit).savefig(out / f"fit_{name}.png", dpi=130)
    pl.plot.subplot_fits(fits).savefig(out / "fits.png", dpi=110)


if __name__ == "__main__":
    mpl.use("Agg")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "meshes"))
