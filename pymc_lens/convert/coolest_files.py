"""Whole models as files of the COOLEST standard (Galan et al. 2023, JOSS 8, 5567)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
from astropy.coordinates import SkyCoord
from astropy.cosmology import FLRW, FlatLambdaCDM
from astropy.io import fits
from astropy.wcs.utils import pixel_to_skycoord
from xarray import DataTree

from pymc_lens._fit_output import SOURCE_PIXELS_PER_PIXEL, source_pixels
from pymc_lens.convert.coolest import (
    SERSIC,
    light_from_coolest,
    light_to_coolest,
    mass_from_coolest,
    mass_to_coolest,
)
from pymc_lens.convert.lists import masses_of
from pymc_lens.cosmology import FlatWCDM
from pymc_lens.data._fits import FitsOutput, centred_wcs, checked_path, require_free, write_fits
from pymc_lens.data.imaging import Imaging
from pymc_lens.data.mask import Mask2D, pixel_centres
from pymc_lens.evaluate import evaluate_once
from pymc_lens.fit import FitImaging
from pymc_lens.galaxy import Galaxy
from pymc_lens.geometry.lattice import lattice
from pymc_lens.light.base import LightProfile, images_of
from pymc_lens.mass import ExternalShear, MassProfile, MassSheet, MassSum
from pymc_lens.quantities import over_draws
from pymc_lens.solved_image import Source
from pymc_lens.tracer import Tracer

# What COOLEST counts as the field around galaxies.
_FIELDS = (ExternalShear, MassSheet)
_GRID = "PixelatedRegularGrid"
_ANGLES = ("phi", "phi_ext")
# COOLEST's own reader divides by the size of a pixel, also where there are none.
_NO_PIXELS = 1.0

Images = dict[Path, FitsOutput]


class PixelImage(NamedTuple):
    """Light in pixels.

    Attributes
    ----------
    image : (ny, nx) array
        Flux in a pixel of the data wherever it lies, the first row lowest.
    extent : (left, right, bottom, top)
        Arcsec, edges of pixels.
    """

    image: np.ndarray
    extent: tuple[float, float, float, float]


class CoolestModel(NamedTuple):
    """What a file of the COOLEST standard holds.

    Attributes
    ----------
    tracer : Tracer
        Of numbers: the point estimates.
    amplitudes : dict of str to (n_columns,) array
        Of galaxies' light by their names, surface brightness per arcsec^2, where they are known.
    pixels : dict of str to list of PixelImage
        Light in pixels, by the names of galaxies.
    dataset : Imaging or None
        With the mask that was fitted, if image, noise map and PSF are there.
    """

    tracer: Tracer
    amplitudes: dict[str, np.ndarray]
    pixels: dict[str, list[PixelImage]]
    dataset: Imaging | None


def write_coolest(
    path: str | Path,
    lens: Tracer | FitImaging,
    model: pm.Model | None = None,
    idata: DataTree | None = None,
    *,
    n_draws: int = 200,
    overwrite: bool = False,
) -> list[Path]:
    """Write a lens model in the COOLEST standard.

    Masses, Sérsic light, redshifts and H0 and Om0 of a flat universe. Shear and mass sheets become fields of
    their own. Masses are in units of the critical density for the farthest galaxy, as everywhere here. Of a
    fit the data, the noise map, the PSF and the mask are written too, amplitudes, and as images in pixels
    every pixelized source and all light that COOLEST has no profile for: FITS files beside the JSON. The
    package ``coolest`` (0.1.11) reads square images only, and a model without images by
    ``JSONSerializer(..., check_external_files=False)``.

    Parameters
    ----------
    path : path
        Of the JSON file; names of others begin with its stem.
    lens : Tracer or FitImaging
        Of numbers, such as what `pymc_lens.fit_at` returns: the point estimates.
    model : pm.Model, optional
        Together with ``idata``: means, medians and percentiles of every parameter are those of its draws,
        which a table holds, ``<stem>_chain.csv``.
    idata : DataTree, optional
        Of ``pl.sample``.
    n_draws : int
        How many draws are taken, evenly spaced.
    overwrite : bool

    Returns
    -------
    list of Path
        The files, the JSON first.

    Raises
    ------
    TypeError
        If an argument is of another kind, or the tracer holds variables.
    ValueError
        If COOLEST has no counterpart of a mass, of light without a fit, or of the cosmology; names it. If
        the image is turned on the sky. If only one of ``model`` and ``idata`` is given.
    FileExistsError
        If a file exists and ``overwrite`` is False.

    Examples
    --------
    >>> fit = pl.fit_at(model, idata)  # doctest: +SKIP
    >>> pl.convert.write_coolest("lens.json", fit, model, idata)  # doctest: +SKIP
    """
    path = checked_path("path", path)
    if not isinstance(lens, (Tracer, FitImaging)):
        raise TypeError(f"lens: expected a Tracer or a FitImaging, got {type(lens).__name__}.")
    if (model is None) != (idata is None):
        raise ValueError("idata: expected it together with the model that it was sampled from.")
    images: Images = {}
    template = _template(lens, path, images)
    texts: dict[Path, str] = {}
    if model is not None and idata is not None:
        chain = _add_statistics(template, model, idata, n_draws)
        texts[_beside(path, "chain", "csv")] = chain.to_csv(index=False)
        template["meta"]["chain_file_name"] = _beside(path, "chain", "csv").name
    texts = {path: json.dumps(template, indent=2), **texts}
    require_free(texts, overwrite)
    write_fits(images, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    return [*texts, *images]


def read_coolest(path: str | Path) -> CoolestModel:
    """Read a lens model in the COOLEST standard: the plain JSON file.

    Parameters
    ----------
    path : path

    Returns
    -------
    CoolestModel

    Raises
    ------
    TypeError
        If ``path`` is no path.
    OSError
        If the file, or one that it names, is missing.
    ValueError
        If it is no such file, lacks a point estimate, or this package has no counterpart of a profile or of
        the cosmology; names it.
    """
    path = checked_path("path", path)
    try:
        template = json.loads(path.read_text("utf-8"))
        entities = template["lensing_entities"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"path: expected a plain JSON file of the COOLEST standard, got {path}.") from error
    galaxies, amplitudes, pixels = [], {}, {}
    for entity in entities:
        galaxy, known, images = _galaxy(entity, path.parent)
        galaxies.append(galaxy)
        if known is not None:
            amplitudes[entity["name"]] = known
        if images:
            pixels[entity["name"]] = images
    tracer = Tracer(galaxies, **_cosmology_of(template.get("cosmology")))
    return CoolestModel(tracer, amplitudes, pixels, _dataset(template, path.parent))


def _beside(path: Path, what: str, suffix: str) -> Path:
    return path.with_name(f"{path.stem}_{what}.{suffix}")


# --- writing


def _template(lens: Tracer | FitImaging, path: Path, images: Images) -> dict[str, Any]:
    """Return the template; adds the images that it names to others."""
    light: Callable[[str, Galaxy], list[dict[str, Any]]]
    if isinstance(lens, FitImaging):
        tracer, seen = lens.tracer, _seen(lens.dataset, path, images)
        light = partial(_light_of_fit, lens, path, images)
    else:
        tracer, seen, light = lens, _unseen(), _light
    return {
        "standard": "COOLEST",
        "mode": "MAP",
        "lensing_entities": _entities(tracer, light),
        "cosmology": _cosmology(tracer),
        **seen,
    }


def _entities(tracer: Tracer, light: Callable[[str, Galaxy], list[dict]]) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = []
    for name, galaxy in zip(tracer.names, tracer.galaxies, strict=True):
        redshift = float(tracer.redshift_of(galaxy.redshift))
        parts = () if galaxy.mass is None else masses_of(galaxy.mass)
        fields = [part for part in parts if isinstance(part, _FIELDS)]
        own = [part for part in parts if not isinstance(part, _FIELDS)]
        if own or galaxy.light is not None or galaxy.pixelization is not None or not fields:
            entity = {"type": "Galaxy", "name": name, "redshift": redshift}
            entities.append({**entity, "light_model": light(name, galaxy), "mass_model": _masses(own)})
        if fields:
            entity = {"type": "MassField", "name": f"{name}_field", "redshift": redshift}
            entities.append({**entity, "mass_model": _masses(fields)})
    _number(entities)
    return entities


def _masses(parts: Sequence[MassProfile]) -> list[dict[str, Any]]:
    return _profiles(*mass_to_coolest(MassSum(tuple(parts)))) if parts else []


def _profiles(types: list[str], parameters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"type": kind, "parameters": {name: _parameter(value) for name, value in values.items()}}
        for kind, values in zip(types, parameters, strict=True)
    ]


def _parameter(value: float | None) -> dict[str, Any]:
    unknown = dict.fromkeys(("mean", "median", "percentile_16th", "percentile_84th"))
    return {"point_estimate": {"value": value}, "posterior_stats": unknown, "prior": {"type": None}}


def _number(entities: list[dict[str, Any]]) -> None:
    """Add COOLEST's identifiers."""
    for i, entity in enumerate(entities):
        for kind in ("light", "mass"):
            for j, profile in enumerate(entity.get(f"{kind}_model", [])):
                profile["id"] = f"{i}-{entity['type'].lower()}-{kind}-{j}-{profile['type']}"
                for name, parameter in profile["parameters"].items():
                    parameter["id"] = f"{profile['id']}-{name}"


def _light(name: str, galaxy: Galaxy) -> list[dict[str, Any]]:
    return [] if galaxy.light is None else _profiles(*light_to_coolest(galaxy.light))


def _is_analytic(galaxy: Galaxy) -> bool:
    return galaxy.light is not None and all(type(part) in SERSIC for part in galaxy.light.parts)


def _light_of_fit(
    fit: FitImaging, path: Path, images: Images, name: str, galaxy: Galaxy
) -> list[dict[str, Any]]:
    """Return profiles of a galaxy's light and source, and images of what COOLEST has no profile for."""
    profiles: list[dict[str, Any]] = []
    in_pixels: dict[str, PixelImage] = {}
    sources, of_light = fit.sources, f"{name}_light"
    if galaxy.light is not None:
        amplitudes = fit.coefficients[of_light]
        if _is_analytic(galaxy) and (amplitudes >= 0.0).all():  # COOLEST knows no negative light
            per_area = amplitudes / fit.dataset.pixel_scales**2
            profiles += _profiles(*light_to_coolest(galaxy.light, per_area))
        elif of_light in sources:
            in_pixels[of_light] = _seen_source(fit, sources[of_light])
        else:
            in_pixels[of_light] = _seen_light(fit.dataset, galaxy.light, amplitudes)
    if name in sources:
        in_pixels[name] = _seen_source(fit, sources[name])
    for what, seen in in_pixels.items():
        profiles.append(_pixels(seen, fit, _beside(path, what, "fits"), images))
    return profiles


def _seen_light(dataset: Imaging, light: LightProfile, amplitudes: np.ndarray) -> PixelImage:
    """See the light of a lens at the middles of pixels, before the blur."""
    rows, columns = np.indices(dataset.shape_native)
    centres = pixel_centres(rows, columns, dataset.shape_native, dataset.pixel_scales)
    (each,) = evaluate_once([images_of(light, dataset.plane.frame.to_sky(centres.reshape(-1, 2)))])
    return PixelImage((amplitudes @ each).reshape(dataset.shape_native), _extent(dataset))


def _seen_source(fit: FitImaging, source: Source) -> PixelImage:
    """See a source without the lens, in fine pixels around what is bright of it."""
    y, x = source_pixels(source.detected_rays, fit.dataset)
    half = 0.5 * fit.dataset.pixel_scales / SOURCE_PIXELS_PER_PIXEL
    extent = (float(x[0]) - half, float(x[-1]) + half, float(y[0]) - half, float(y[-1]) + half)
    return PixelImage(source.brightness(lattice(y, x)), extent)


def _pixels(seen: PixelImage, fit: FitImaging, path: Path, images: Images) -> dict[str, Any]:
    # Positions are in the template: the header's world coordinates are those of no sky.
    scale = (seen.extent[1] - seen.extent[0]) / seen.image.shape[1]
    images[path] = FitsOutput(seen.image, centred_wcs(seen.image.shape, scale), fit.dataset.unit)
    return {"type": _GRID, "parameters": {"pixels": _grid(path.name, seen.image.shape, seen.extent)}}


def _grid(name: str | None, shape: tuple[int, ...], extent: tuple[float, ...]) -> dict[str, Any]:
    return {
        "fits_file": {"path": name},
        "field_of_view_x": list(extent[:2]),
        "field_of_view_y": list(extent[2:]),
        "num_pix_x": shape[1],
        "num_pix_y": shape[0],
    }


def _extent(dataset: Imaging) -> tuple[float, float, float, float]:
    (ny, nx), (y, x), half = dataset.shape_native, dataset.offset, 0.5 * dataset.pixel_scales
    return x - half * nx, x + half * nx, y - half * ny, y + half * ny


def _unseen() -> dict[str, Any]:
    nothing = _grid(None, (0, 0), (0.0, 0.0, 0.0, 0.0))
    return {
        "coordinates_origin": {"ra": "00h00m00s", "dec": "+00d00m00s"},
        "observation": _observation(nothing, {"type": None}),
        "instrument": _instrument(_NO_PIXELS, {"type": None}),
        "meta": {"modeling_code": "pymc_lens", "observation": "none: the pixel size means nothing"},
    }


def _observation(pixels: dict[str, Any], noise: dict[str, Any]) -> dict[str, Any]:
    unknown = dict.fromkeys(("exposure_time", "mag_zero_point", "mag_sky_brightness"))
    return {"pixels": pixels, "noise": noise, **unknown}


def _instrument(pixel_size: float, psf: dict[str, Any]) -> dict[str, Any]:
    return {"name": "", "band": "", "pixel_size": pixel_size, "readout_noise": None, "psf": psf}


def _seen(dataset: Imaging, path: Path, images: Images) -> dict[str, Any]:
    if dataset.rotation != 0.0:
        raise ValueError(
            f"lens: expected an image whose pixels lie along x and y, got one turned by {dataset.rotation} "
            "degrees, which COOLEST cannot say."
        )
    arrays = {
        "data": dataset.data,
        "noise_map": dataset.noise_map,
        "mask": (~dataset.mask.array).astype(float),
    }
    grids = {}
    for name, array in arrays.items():
        file = _beside(path, name, "fits")
        images[file] = FitsOutput(array, dataset.sky, None if name == "mask" else dataset.unit)
        grids[name] = _grid(file.name, array.shape, _extent(dataset))
    scale, psf = dataset.pixel_scales, dataset.psf
    file = _beside(path, "psf", "fits")
    images[file] = FitsOutput(psf, centred_wcs(psf.shape, scale))
    across = (0.0, psf.shape[1] * scale, 0.0, psf.shape[0] * scale)
    pixels = _grid(file.name, psf.shape, across)
    return {
        "coordinates_origin": _origin(dataset),
        "observation": _observation(grids["data"], {"type": "NoiseMap", "noise_map": grids["noise_map"]}),
        "instrument": _instrument(scale, {"type": "PixelatedPSF", "description": "", "pixels": pixels}),
        "likelihoods": [{"type": "ImagingDataLikelihood", "mask": grids["mask"]}],
        "meta": {"modeling_code": "pymc_lens", "unit": dataset.unit},
    }


def _origin(dataset: Imaging) -> dict[str, str]:
    """Right ascension and declination of where the lens model counts from."""
    if dataset.wcs is None:
        return {"ra": "00h00m00s", "dec": "+00d00m00s"}
    row, column = (
        0.5 * (n - 1) - offset / dataset.pixel_scales
        for n, offset in zip(dataset.shape_native, dataset.offset, strict=True)
    )
    place: SkyCoord = pixel_to_skycoord(column, row, dataset.wcs).icrs
    ra, dec = place.to_string("hmsdms", precision=6).split()
    return {"ra": ra, "dec": dec}


def _cosmology(tracer: Tracer) -> dict[str, Any]:
    cosmology = tracer.cosmology
    if isinstance(cosmology, FlatLambdaCDM):
        hubble, matter = float(cosmology.H0.value), float(cosmology.Om0)
    elif isinstance(cosmology, FlatWCDM) and cosmology.w0 == -1.0:
        hubble, matter = float(cosmology.H0), float(cosmology.Om0)
    else:
        name = getattr(cosmology, "name", None) or type(cosmology).__name__
        raise ValueError(f"lens: COOLEST has no counterpart of the cosmology {name}. It knows FlatLambdaCDM.")
    return {"H0": hubble, "Om0": matter, "astropy_name": "FlatLambdaCDM"}


# --- a posterior


def _add_statistics(template: dict[str, Any], model: pm.Model, idata: DataTree, n_draws: int) -> pd.DataFrame:
    """Put statistics of draws into a template; return the draws."""
    entities = template["lensing_entities"]
    at_best = _numbers(entities)
    names = [name for name in at_best if not name.endswith("I_eff")]

    def values(tracer: Tracer) -> np.ndarray:
        numbers = _numbers(_entities(tracer, _analytic_light))
        return np.array([numbers[name]["point_estimate"]["value"] for name in names])

    draws = over_draws(values, model, idata, n_draws).values
    for name, column in zip(names, draws.T, strict=True):
        if name.rpartition("-")[2] in _ANGLES:
            best = at_best[name]["point_estimate"]["value"]
            column[:] = best + (column - best + 90.0) % 180.0 - 90.0
        low, middle, high = map(float, np.percentile(column, [16.0, 50.0, 84.0]))
        statistics = {"mean": float(column.mean()), "median": middle}
        at_best[name]["posterior_stats"] = {**statistics, "percentile_16th": low, "percentile_84th": high}
    return pd.DataFrame({**dict(zip(names, draws.T, strict=True)), "probability_weights": 1.0 / len(draws)})


def _analytic_light(name: str, galaxy: Galaxy) -> list[dict[str, Any]]:
    return _light(name, galaxy) if _is_analytic(galaxy) else []


def _numbers(entities: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Parameters that are numbers, by their identifiers."""
    return {
        parameter["id"]: parameter
        for entity in entities
        for kind in ("light_model", "mass_model")
        for profile in entity.get(kind, [])
        if profile["type"] != _GRID
        for parameter in profile["parameters"].values()
    }


# --- reading


def _galaxy(entity: Mapping[str, Any], folder: Path) -> tuple[Galaxy, np.ndarray | None, list[PixelImage]]:
    """Return a galaxy, the amplitudes of its light where they are known, and its light in pixels."""
    name = entity["name"]
    masses, lights = (entity.get(kind) or [] for kind in ("mass_model", "light_model"))
    grids = [profile for profile in lights if profile["type"] == _GRID]
    analytic = [profile for profile in lights if profile["type"] != _GRID]
    try:
        mass = mass_from_coolest(*_lists(masses)) if masses else None
        light, known = light_from_coolest(*_lists(analytic)) if analytic else (None, None)
    except (TypeError, ValueError) as error:
        raise ValueError(f"path: of the entity {name!r}: {error}") from error
    images = [_image(profile["parameters"]["pixels"], folder) for profile in grids]
    return Galaxy(float(entity["redshift"]), mass, light, name=name), known, images


def _lists(profiles: list[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    parameters = []
    for profile in profiles:
        values = {
            name: parameter["point_estimate"]["value"] for name, parameter in profile["parameters"].items()
        }
        missing = [name for name, value in values.items() if value is None and name != "I_eff"]
        if missing:
            raise ValueError(f"{profile['type']} has no point estimate of {missing}.")
        parameters.append(values)
    return [profile["type"] for profile in profiles], parameters


def _image(grid: Mapping[str, Any], folder: Path) -> PixelImage:
    image = np.asarray(fits.getdata(folder / grid["fits_file"]["path"]), dtype=np.float64)
    left, right, bottom, top = map(float, (*grid["field_of_view_x"], *grid["field_of_view_y"]))
    return PixelImage(image, (left, right, bottom, top))


def _cosmology_of(cosmology: Mapping[str, Any] | None) -> dict[str, FLRW]:
    if cosmology is None:
        return {}
    if cosmology["astropy_name"] != "FlatLambdaCDM":
        raise ValueError(f"path: expected the cosmology FlatLambdaCDM, got {cosmology['astropy_name']!r}.")
    return {"cosmology": FlatLambdaCDM(cosmology["H0"], cosmology["Om0"])}


def _dataset(template: Mapping[str, Any], folder: Path) -> Imaging | None:
    """Return the data, if all is there that a fit needs."""
    observation, psf = template["observation"], template["instrument"]["psf"]
    named = observation["pixels"]["fits_file"]["path"]
    if named is None or observation["noise"]["type"] != "NoiseMap" or psf["type"] != "PixelatedPSF":
        return None
    data = _image(observation["pixels"], folder)
    noise_map = _image(observation["noise"]["noise_map"], folder).image
    kernel = _image(psf["pixels"], folder).image
    scale = float(template["instrument"]["pixel_size"])
    left, right, bottom, top = data.extent
    offset = (0.5 * (bottom + top), 0.5 * (left + right))
    dataset = Imaging(data.image, noise_map, kernel, scale, offset=offset)
    masks = [each["mask"] for each in template.get("likelihoods") or [] if each.get("mask")]
    if not masks:
        return dataset
    return dataset.apply_mask(Mask2D(_image(masks[0], folder).image == 0.0, scale))
