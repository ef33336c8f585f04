"""The page on your own lens: ``python own_lens.py`` samples its posterior, some minutes.

To import it builds the model and samples nothing. As it is it runs in the folder of the checkout, where its
data are.
"""

# [data]
import numpy as np
import pymc as pm

import pymc_lens as pl

folder = "examples/data/J0252+0039"
dataset = pl.Imaging.from_fits(
    f"{folder}/image.fits", f"{folder}/psf.fits", f"{folder}/noise.fits", pixel_scales=0.05
)
dataset = dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, radius=2.0))


# [tracer]
def tracer(centre, einstein_radius, ell_comps, gamma_1, gamma_2, light_inner, light_outer, scale, amplitude):
    """Lens and source, for numbers or random variables alike."""
    mass = pl.mass.Isothermal(centre, ell_comps, einstein_radius) + pl.mass.ExternalShear(gamma_1, gamma_2)
    light = pl.light.MultiGaussian(
        centre, [light_inner, light_outer], [np.geomspace(0.02, 0.35, 9), np.geomspace(0.45, 2.0, 8)]
    )
    source = pl.Pixelization(
        pl.mesh.VoronoiNN(pl.image_mesh.Overlay((24, 24))),
        pl.regularization.MaternSPDE(scale=scale, amplitude=amplitude),
    )
    return pl.Tracer(
        [
            pl.Galaxy(redshift=0.280, mass=mass, light=light),
            pl.Galaxy(redshift=0.982, pixelization=source),
        ]
    )


# [model]
with pm.Model() as model:
    pl.LensedImage(
        "image",
        tracer(
            centre=pl.priors.position("centre", sigma=0.05),
            einstein_radius=pm.LogNormal("einstein_radius", np.log(1.0), 0.4),
            ell_comps=pl.priors.ell_comps("ell_comps", sigma=0.2),
            gamma_1=pm.Normal("gamma_1", 0.0, 0.05),
            gamma_2=pm.Normal("gamma_2", 0.0, 0.05),
            light_inner=pl.priors.ell_comps("light_inner", sigma=0.2),
            light_outer=pl.priors.ell_comps("light_outer", sigma=0.2),
            scale=pm.LogNormal("scale", np.log(0.14), 0.5),
            amplitude=pm.LogNormal("amplitude", np.log(0.14), 2.0),
        ),
        observed=dataset,
    )

# [mode]
if __name__ == "__main__":
    mode = pl.find_mode(model)
    print(mode)
    pl.plot.subplot_fit(pl.fit_at(model, mode)).savefig("mode.png")  # look at it while the draws are taken

    # [sample]
    idata = pl.sample(mode=mode, model=model, random_seed=1)
    pl.reconstruct(idata, model=model, random_seed=1)  # sources and images of the draws
    pl.save(idata, "own_lens.nc")
