"""Strong gravitational lensing with pixelized sources in PyMC."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pymc_lens import (
    convert,
    image_mesh,
    light,
    mass,
    mesh,
    pipeline,
    priors,
    quantities,
    regularization,
)
from pymc_lens.cosmology import FlatWCDM, ScalingFactors
from pymc_lens.cross_validation import compute_log_likelihood, sample_loo_predictive
from pymc_lens.data.imaging import Imaging
from pymc_lens.data.mask import Mask2D
from pymc_lens.data.over_sampling import RadialBins
from pymc_lens.distributions import LensedImage
from pymc_lens.errors import InadmissibleError
from pymc_lens.evidence import LogMarginalLikelihood, compare_evidence, log_marginal_likelihood
from pymc_lens.fit import FitImaging
from pymc_lens.galaxy import Galaxy, Pixelization
from pymc_lens.image_positions import ImagePositions
from pymc_lens.inference import Mode, find_mode, find_modes, sample
from pymc_lens.loo_moment_match import loo_moment_match
from pymc_lens.parts import Sky
from pymc_lens.pipeline import Criterion, LensFit, Verdict, fit_lens
from pymc_lens.pixels import as_image
from pymc_lens.point import fit_at
from pymc_lens.results import reconstruct, sample_posterior_predictive, sample_prior_predictive
from pymc_lens.sensitivity import sensitivity
from pymc_lens.simulate import Image, simulate_imaging
from pymc_lens.storage import make_folder, save
from pymc_lens.surveys import (
    Catalogue,
    PopulationLikelihood,
    Selection,
    SimulatedLens,
    check_population,
    simulate_survey,
    survey,
    write_survey,
)
from pymc_lens.tracer import Tracer
from pymc_lens.tuning import TunedRegularization, tune_regularization

if TYPE_CHECKING:
    from pymc_lens import plot

__version__ = "0.1.0"

__all__ = [
    "Catalogue",
    "Criterion",
    "FitImaging",
    "FlatWCDM",
    "Galaxy",
    "Image",
    "ImagePositions",
    "Imaging",
    "InadmissibleError",
    "LensFit",
    "LensedImage",
    "LogMarginalLikelihood",
    "Mask2D",
    "Mode",
    "Pixelization",
    "PopulationLikelihood",
    "RadialBins",
    "ScalingFactors",
    "Selection",
    "SimulatedLens",
    "Sky",
    "Tracer",
    "TunedRegularization",
    "Verdict",
    "as_image",
    "check_population",
    "compare_evidence",
    "compute_log_likelihood",
    "convert",
    "find_mode",
    "find_modes",
    "fit_at",
    "fit_lens",
    "image_mesh",
    "light",
    "log_marginal_likelihood",
    "loo_moment_match",
    "make_folder",
    "mass",
    "mesh",
    "pipeline",
    "plot",
    "priors",
    "quantities",
    "reconstruct",
    "regularization",
    "sample",
    "sample_loo_predictive",
    "sample_posterior_predictive",
    "sample_prior_predictive",
    "save",
    "sensitivity",
    "simulate_imaging",
    "simulate_survey",
    "survey",
    "tune_regularization",
    "write_survey",
]


def __getattr__(name: str) -> Any:
    # Matplotlib and ArviZ's plots take a second to import, which who only samples need not wait for.
    if name == "plot":
        return import_module("pymc_lens.plot")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
