"""From a tracer and a dataset to the inversion of the image and its symbolic inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pytensor.tensor.variable import TensorVariable

from pymc_lens.data.imaging import Imaging
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.inversion.solvers import SOLVERS
from pymc_lens.linear.base import LinearScheme, MappedScheme
from pymc_lens.parts import LinearPart, Sky, parts_of
from pymc_lens.response.base import Response
from pymc_lens.response.imaging_blur import DenseBlur, PairedBlur, TiledBlur, pairs_pay
from pymc_lens.tracer import Tracer
from pymc_lens.validation import require_instance


class Assembled(NamedTuple):
    """A model of an image, split.

    Attributes
    ----------
    inversion : Inversion
        What is static.
    inputs : tuple of TensorVariable
        What it reads beside the data.
    """

    inversion: Inversion
    inputs: tuple[TensorVariable, ...]


def assemble(tracer: Tracer, dataset: Imaging, sky: Sky | None = None) -> Assembled:
    """Split a model of an image into its static part and the symbolic inputs of that part.

    Parameters
    ----------
    tracer : Tracer
        Its numbers may be random variables.
    dataset : Imaging
    sky : Sky, optional

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If nothing shines, or parts are confined to positive values in different ways.
    """
    require_instance("tracer", tracer, Tracer)
    require_instance("dataset", dataset, Imaging)
    parts = parts_of(tracer)
    if not parts:
        raise ValueError(
            "galaxies: nothing shines. Give one a pixelization or light: Galaxy(..., pixelization=...)."
        )
    if sky is not None:
        require_instance("sky", sky, Sky)
        parts.append(sky)
    built = sorted((part.on(dataset) for part in parts), key=lambda each: Inversion.ordered(each.scheme))
    schemes = [each.scheme for each in built]
    inversion = Inversion(schemes, _response(schemes, dataset), SOLVERS[_positivity(parts)])
    return Assembled(inversion, tuple(variable for each in built for variable in each.inputs))


def _response(schemes: Sequence[LinearScheme], dataset: Imaging) -> Response:
    n_mapped = sum(scheme.size for scheme in schemes if isinstance(scheme, MappedScheme))
    if not n_mapped:
        return DenseBlur(dataset)
    return (PairedBlur if pairs_pay(dataset, n_mapped) else TiledBlur)(dataset)


def _positivity(parts: Sequence[LinearPart]) -> str | None:
    ways = {part.name: part.positivity for part in parts if part.positivity is not None}
    if len(set(ways.values())) > 1:
        raise ValueError(
            f"positivity: expected the same of all parts of an image that are not negative, got {ways}."
        )
    return next(iter(ways.values()), None)
