"""A fit at fixed numbers."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from pymc_lens._fit_output import write_fit
from pymc_lens.assembly import assemble
from pymc_lens.data.imaging import Imaging
from pymc_lens.evaluate import evaluate_once
from pymc_lens.inversion.inversion import Arrays, EvidenceTerms, Inversion
from pymc_lens.parts import Sky, parts_of
from pymc_lens.solved_image import SolvedImage, Source
from pymc_lens.tracer import Tracer

# What fits elsewhere are judged by.
_JUDGED_BY_EVIDENCE = ("log_likelihood", "figure_of_merit", "log_likelihood_with_regularization")


class FitImaging:
    """Fit of a dataset by a tracer whose parameters are all numbers.

    Source pixels and the amplitudes of light and sky are solved for; everything else is fixed.
    `pymc_lens.fit_at` makes one of a model and a posterior, a mode or any values.

    Parameters
    ----------
    dataset : Imaging
    tracer : Tracer
    sky : Sky, optional
        A background, by default none.

    Raises
    ------
    TypeError
        If an argument is of another kind, or the tracer holds random or symbolic variables.
    ValueError
        If nothing of the tracer shines, or its parts are confined to positive values in different ways.
    InadmissibleError
        (a ValueError) If these numbers have no likelihood, such as rays that leave a fixed mesh.

    Examples
    --------
    >>> fit = FitImaging(dataset, tracer)  # doctest: +SKIP
    >>> fit.log_evidence, fit.source.reconstruction, fit.model_image  # doctest: +SKIP
    """

    def __init__(self, dataset: Imaging, tracer: Tracer, sky: Sky | None = None) -> None:
        inversion, symbolic = assemble(tracer, dataset, sky)
        self._solve(inversion, dataset, tracer, (dataset.data_fitted, *evaluate_once(list(symbolic))))

    @classmethod
    def of_inversion(cls, inversion: Inversion, dataset: Imaging, tracer: Tracer, arrays: Arrays) -> Self:
        """Fit with an inversion that is prepared already.

        Parameters
        ----------
        inversion : Inversion
        dataset : Imaging
            Whose fitted data are those of ``arrays``.
        tracer : Tracer
            All of whose parameters are numbers.
        arrays : Arrays
            What the tracer gives there.

        Returns
        -------
        FitImaging

        Raises
        ------
        InadmissibleError
            If these numbers have no likelihood.
        """
        fit = cls.__new__(cls)
        fit._solve(inversion, dataset, tracer, arrays)
        return fit

    def _solve(self, inversion: Inversion, dataset: Imaging, tracer: Tracer, arrays: Arrays) -> None:
        self.dataset, self.tracer = dataset, tracer
        solution = inversion.invert(arrays)
        self._solved = SolvedImage(
            inversion, dataset, solution, solution.coefficients, parts_of(tracer), lambda: tracer
        )
        self.terms: EvidenceTerms = solution.terms

    @property
    def log_evidence(self) -> float:
        """Log evidence, Suyu et al. 2006 (MNRAS 371, 983) eq. 19."""
        return self.terms.log_evidence

    @property
    def chi_squared(self) -> float:
        """Sum of squared residuals over their variance."""
        return self.terms.chi_squared

    @property
    def sources(self) -> dict[str, Source]:
        """Sources by name: pixelized ones have that of their galaxy, others ``_light`` behind it."""
        return self._solved.sources

    @property
    def source(self) -> Source:
        """The only source.

        Raises
        ------
        ValueError
            If there are several, or none.
        """
        if len(self.sources) != 1:
            raise ValueError(f"source: expected one source, got {list(self.sources)}. Take one of `sources`.")
        return next(iter(self.sources.values()))

    @property
    def coefficients(self) -> dict[str, np.ndarray]:
        """Source pixels and amplitudes of each linear part, by its name; a list is that of `images`."""
        return self._solved.coefficients

    @cached_property
    def images(self) -> dict[str, np.ndarray]:
        """(ny, nx) blurred image of each linear part, by its name."""
        return {name: self._native(image) for name, image in self._solved.images.items()}

    @cached_property
    def data(self) -> np.ndarray:
        """(ny, nx) fitted data; NaN where nothing is fitted, as in all images of a fit."""
        return self._native(self.dataset.data_fitted)

    @cached_property
    def model_image(self) -> np.ndarray:
        """(ny, nx) model of everything, blurred."""
        return self._native(self._solved.model)

    @cached_property
    def lens_light(self) -> np.ndarray:
        """(ny, nx) model of the light in front of the lenses, blurred."""
        return self._native(self._solved.lens_light)

    @cached_property
    def lensed_source(self) -> np.ndarray:
        """(ny, nx) model of all lensed sources, blurred."""
        return self._native(self._solved.lensed_source)

    @cached_property
    def sky(self) -> np.ndarray:
        """(ny, nx) model of the sky; zero where there is none in the model."""
        return self._native(self._solved.sky)

    @cached_property
    def adapt_image(self) -> np.ndarray:
        """(ny, nx) lensed source without what is negative: what adaptive meshes and priors are made of."""
        return np.clip(np.nan_to_num(self.lensed_source), 0.0, None)

    @cached_property
    def lens_subtracted_image(self) -> np.ndarray:
        """(ny, nx) data less lens light and sky."""
        return self.data - self.lens_light - self.sky

    @cached_property
    def residual_map(self) -> np.ndarray:
        """(ny, nx) data less model."""
        return self.data - self.model_image

    @cached_property
    def normalized_residual_map(self) -> np.ndarray:
        """(ny, nx) residuals in units of the noise."""
        return self.residual_map / self._native(self.dataset.noise_fitted)

    @cached_property
    def chi_squared_map(self) -> np.ndarray:
        """(ny, nx) squared normalized residuals."""
        return self.normalized_residual_map**2

    @property
    def reduced_chi_squared(self) -> float:
        """Chi-squared over the number of fitted pixels."""
        return self.chi_squared / self.dataset.fitted.size

    def to_fits(self, folder: str | Path, overwrite: bool = False) -> dict[str, Path]:
        """Write images: ``model_image``, ``residual_map``, ``lens_light``, ``lensed_source`` and ``source``.

        They have the unit and the world coordinates of the data, NaN where nothing is fitted. The source is
        on a grid of pixels a quarter as wide, around what is bright, where it would be seen without the lens.

        Parameters
        ----------
        folder : path
            Made if missing; the files are ``model_image.fits`` and so on.
        overwrite : bool

        Returns
        -------
        dict
            Paths by name.

        Raises
        ------
        TypeError
            If the folder is no path.
        FileExistsError
            If a file exists and `overwrite` is False.
        """
        return write_fit(self, folder, overwrite)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} of {part.size}" for name, part in self.coefficients.items())
        return (
            f"FitImaging(log_evidence={self.log_evidence:.2f}, chi-squared {self.chi_squared:.1f} of "
            f"{self.dataset.fitted.size} pixels, {sizes})"
        )

    def __getattr__(self, name: str) -> Any:
        # Only what is not found otherwise comes here.
        if name in _JUDGED_BY_EVIDENCE:
            raise AttributeError(
                f"FitImaging has no {name}: with a pixelized source the smoothness counts as well, see "
                "log_evidence; chi_squared and terms are its parts."
            )
        raise AttributeError(f"FitImaging has no attribute {name!r}")

    def _native(self, fitted: np.ndarray) -> np.ndarray:
        return self.dataset.native(fitted)
