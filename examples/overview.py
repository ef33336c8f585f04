"""What everyone types first: a fit at fixed numbers, then the same model with priors and its posterior.

    python examples/overview.py

The example of README.md, from the folder of the checkout. The dataset is a simulated lens with a clumpy
source; its truth is in examples/data/source_complex/README.md.
"""

import pymc as pm

import pymc_lens as pl

folder = "examples/data/source_complex"
dataset = pl.Imaging.from_fits(f"{folder}/data.fits", f"{folder}/psf.fits", f"{folder}/noise_map.fits")
dataset = dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, radius=2.8))


def tracer(einstein_radius, ell_comps, scale, amplitude):
    lens = pl.Galaxy(
        redshift=0.5, mass=pl.mass.Isothermal(einstein_radius=einstein_radius, ell_comps=ell_comps)
    )
    source = pl.Galaxy(
        redshift=1.0,
        pixelization=pl.Pixelization(
            mesh=pl.mesh.VoronoiNN(pl.image_mesh.Overlay((24, 24))),
            regularization=pl.regularization.MaternSPDE(scale=scale, amplitude=amplitude),
        ),
    )
    return pl.Tracer([lens, source])


fit = pl.FitImaging(dataset, tracer(1.6, (0.17647, 0.0), 0.15, 0.5))  # numbers: one fit
print(fit.log_evidence)
pl.plot.subplot_fit(fit)

with pm.Model() as model:  # priors: a posterior
    pl.LensedImage(
        "image",
        tracer(
            pm.TruncatedNormal("einstein_radius", 1.6, 0.2, lower=0),
            pl.priors.ell_comps("ell_comps", sigma=0.3),
            pm.LogNormal("scale", -2.0, 1.0),
            pm.LogNormal("amplitude", 0.0, 2.0),
        ),
        observed=dataset,
    )
    idata = pl.sample(random_seed=1)
    pl.reconstruct(idata, random_seed=1)

pl.plot.subplot_posterior(idata)
pl.plot.subplot_reconstruction(idata)
