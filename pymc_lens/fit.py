"""A fit at fixed numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RNGConsumerOp
from pytensor.tensor.variable import TensorVariable

from pymc_lens._fit_output import write_fit
from pymc_lens.graph import build_inversion
from pymc_lens.imaging import Imaging
from pymc_lens.inversion.problem import EvidenceTerms, InversionInputs, PixelizedInversion
from pymc_lens.tracer import Tracer

# One evaluation of a small graph: rewriting and compiling it would take longer than running it.
_ONCE = pytensor.compile.mode.Mode(linker="py", optimizer=None)

# What fits elsewhere are judged by.
_JUDGED_BY_EVIDENCE = ("log_likelihood", "figure_of_merit", "log_likelihood_with_regularization")


class FitImaging:
    """Fit of a dataset by a tracer whose parameters are all numbers.

    Source pixels and linear light amplitudes are solved for; everything else is fixed. `pymc_lens.fit_at`
    makes one of a model and a posterior, a mode or any values.

    Parameters
    ----------
    dataset : Imaging
    tracer : Tracer

    Raises
    ------
    TypeError
        If the tracer holds random or symbolic variables.
    InadmissibleError
        (a ValueError) If these numbers have no likelihood, such as rays that leave a fixed mesh.

    Examples
    --------
    >>> fit = FitImaging(dataset, tracer)  # doctest: +SKIP
    >>> fit.log_evidence, fit.reconstruction, fit.model_image  # doctest: +SKIP
    """

    def __init__(self, dataset: Imaging, tracer: Tracer) -> None:
        problem, symbolic = build_inversion(tracer, dataset)
        numbers = evaluate_once(list(symbolic))
        self._solve(problem, dataset, tracer, InversionInputs(dataset.data_fitted, *numbers))

    @classmethod
    def of_problem(
        cls, problem: PixelizedInversion, dataset: Imaging, tracer: Tracer, inputs: InversionInputs
    ) -> Self:
        """Fit with an inversion that is prepared already.

        Parameters
        ----------
        problem : PixelizedInversion
        dataset : Imaging
            Whose fitted data are those of ``inputs``.
        tracer : Tracer
            All of whose parameters are numbers.
        inputs : InversionInputs
            What the tracer gives there.
        """
        fit = cls.__new__(cls)
        fit._solve(problem, dataset, tracer, inputs)
        return fit

    def _solve(
        self, problem: PixelizedInversion, dataset: Imaging, tracer: Tracer, inputs: InversionInputs
    ) -> None:
        self.dataset, self.tracer, self._problem, self._inputs = dataset, tracer, problem, inputs
        inversion = problem.invert(inputs)
        self._geometry = inversion.geometry
        self.terms: EvidenceTerms = inversion.terms
        self._coefficients = inversion.coefficients
        self._model = problem.model_image(inversion, inversion.coefficients)
        self._light = problem.light_image(inversion, inversion.coefficients)

    @property
    def log_evidence(self) -> float:
        """Log evidence, Suyu et al. 2006 (MNRAS 371, 983) eq. 19."""
        return self.terms.log_evidence

    @property
    def chi_squared(self) -> float:
        """Sum of squared residuals over their variance."""
        return self.terms.chi_squared

    @property
    def reconstruction(self) -> np.ndarray:
        """(n_source,) source pixels, in the units of the data: the brightness at the vertices.

        On a mesh of cubic splines their coefficients; `source_brightness` takes them to brightness.
        """
        return self._coefficients[: self._problem.n_source]

    @property
    def intensities(self) -> np.ndarray:
        """(n_light,) amplitudes of the linear light columns, in the order of the tracer's profiles."""
        return self._coefficients[self._problem.n_source :]

    @property
    def mesh_vertices(self) -> np.ndarray:
        """(n_source, 2) source-plane (y, x) of the source pixels, arcsec."""
        return self._geometry.vertices

    @property
    def traced_grid(self) -> np.ndarray:
        """(n_rays, 2) source-plane (y, x) of the sub-pixels, arcsec."""
        return self._inputs.rays

    @property
    def detected_rays(self) -> np.ndarray:
        """(n, 2) source-plane (y, x) of the sub-pixels in whose image pixels the source is seen, arcsec.

        Its image exceeds three standard deviations of the noise there, and 5 % of its brightest pixel.
        """
        return self._problem.detected_rays(self._inputs, self._model - self._light)

    def source_brightness(self, points: np.ndarray) -> np.ndarray:
        """Interpolate the reconstruction at source-plane points (..., 2), arcsec; zero outside the mesh."""
        flat = self._geometry.interpolate(np.ascontiguousarray(points.reshape(-1, 2)))
        return flat.apply(self.reconstruction).reshape(points.shape[:-1])

    @cached_property
    def data(self) -> np.ndarray:
        """(ny, nx) fitted data; NaN where nothing is fitted, as in all images of a fit."""
        return self._native(self.dataset.data_fitted)

    @cached_property
    def model_image(self) -> np.ndarray:
        """(ny, nx) model of source and lens light, blurred."""
        return self._native(self._model)

    @cached_property
    def lens_light(self) -> np.ndarray:
        """(ny, nx) model of the linear light profiles, blurred."""
        return self._native(self._light)

    @cached_property
    def lensed_source(self) -> np.ndarray:
        """(ny, nx) model of the lensed source, blurred."""
        return self.model_image - self.lens_light

    @cached_property
    def adapt_image(self) -> np.ndarray:
        """(ny, nx) lensed source without what is negative: what adaptive meshes and priors are made of."""
        return np.clip(np.nan_to_num(self.lensed_source), 0.0, None)

    @cached_property
    def lens_subtracted_image(self) -> np.ndarray:
        """(ny, nx) data less the lens light."""
        return self.data - self.lens_light

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
        FileExistsError
            If a file exists and `overwrite` is False.
        """
        return write_fit(self, folder, overwrite)

    def __repr__(self) -> str:
        return (
            f"FitImaging(log_evidence={self.log_evidence:.2f}, chi-squared {self.chi_squared:.1f} of "
            f"{self.dataset.fitted.size} pixels, {self._problem.n_source} source pixels)"
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


def with_values(variables: list[Any], values: Mapping[str, np.ndarray]) -> list[TensorVariable]:
    """Put numbers in the place of random variables, found by their names.

    Raises
    ------
    ValueError
        If a value has another shape than its variable; names it.
    """
    replacements = {
        variable: _constant_for(variable, values[variable.name])
        for variable in ancestors(variables)
        if _is_random(variable) and variable.name in values
    }
    return graph_replace(variables, replacements, strict=False)


def evaluate_once(
    variables: list[TensorVariable], values: Mapping[str, np.ndarray] = MappingProxyType({})
) -> list[np.ndarray]:
    """Evaluate variables that hang on constants, and on random variables with known values, only.

    Parameters
    ----------
    variables : list
    values : mapping of str to ndarray
        Of random variables by name.

    Raises
    ------
    TypeError
        If a variable depends on another random or free symbolic variable.
    ValueError
        If a value has another shape than its variable.
    """
    variables = with_values(variables, values)
    for variable in ancestors(variables):
        is_free = variable.owner is None and not isinstance(variable, (Constant, SharedVariable))
        if _is_random(variable) or is_free:
            raise TypeError(
                f"tracer: expected numbers, got the variable {variable}. Use PixelizedImage for a tracer "
                "with random variables, and fit_at for a fit of such a model."
            )
    function = pytensor.function([], variables, mode=_ONCE)
    return [np.asarray(value, dtype=np.float64, order="C") for value in function()]


def checked_value(variable: TensorVariable, value: Any) -> np.ndarray:
    """Return a value of a variable as an array.

    Raises
    ------
    TypeError
        If it is no number or array of numbers.
    ValueError
        If it has another shape than the variable.
    """
    try:
        array = np.asarray(value, dtype=variable.dtype)
    except (TypeError, ValueError):
        raise TypeError(f"{variable.name}: expected numbers, got {value!r}.") from None
    shape = variable.type.shape
    if array.ndim != len(shape) or any(n not in (m, None) for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{variable.name}: expected a value of shape {shape}, got shape {array.shape}.")
    return array


def _is_random(variable: Variable) -> bool:
    return variable.owner is not None and isinstance(variable.owner.op, RNGConsumerOp)


def _constant_for(variable: TensorVariable, value: Any) -> TensorVariable:
    return pt.constant(checked_value(variable, value))
