"""The PyAutoLens side of `peers.py`, which runs this with ``.venv-peers/bin/python``.

    .venv-peers/bin/python benchmarks/peers_worker.py PROBLEM.npz

Speaks JSON by the line. It first evaluates every route once, which compiles those through JAX and numba, and
says ``{"ready": [names], "left_out": {name: why}}``; then it answers each ``{"route": name, "mass": [...]}``
with the ``{"seconds": ..., "value": ...}`` of one more evaluation, from ray tracing to log evidence.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TextIO

import autolens as al
import jax
import numpy as np

SETTINGS = al.Settings(use_positive_only_solver=False, use_border_relocator=False)
AS_SHIPPED = al.Settings()
Evidence = Callable[[np.ndarray], object]


def load(arrays: dict[str, np.ndarray]) -> al.Imaging:
    scale = float(arrays["pixel_scale"])
    data, noise, psf = (
        al.Array2D.no_mask(arrays[key], pixel_scales=scale) for key in ("data", "noise_map", "psf")
    )
    dataset = al.Imaging(
        data, noise, al.Convolver(psf), over_sample_size_lp=1, over_sample_size_pixelization=2
    )
    return dataset.apply_mask(al.Mask2D(arrays["mask"], pixel_scales=scale))


def log_evidence(
    dataset: al.Imaging,
    mesh: object,
    vertices: al.Grid2DIrregular | None,
    prior: type,
    xp: object,
    settings: al.Settings,
    mass: np.ndarray,
) -> object:
    """At ``mass``, the Einstein radius and the elliptical components; nothing is kept between calls."""
    isothermal = al.mp.Isothermal((0.0, 0.0), ell_comps=(mass[1], mass[2]), einstein_radius=mass[0])
    source = al.Galaxy(redshift=1.0, pixelization=al.Pixelization(mesh, prior(coefficient=1.0)))
    tracer = al.Tracer([al.Galaxy(redshift=0.5, mass=isothermal), source])
    adapt = al.AdaptImages(galaxy_image_plane_mesh_grid_dict={source: vertices})
    fit = al.FitImaging(dataset, tracer, adapt_images=adapt, settings=settings, xp=xp)
    return fit.figure_of_merit


def jax_value(evidence: Evidence) -> Evidence:
    compiled = jax.jit(evidence)
    return lambda mass: compiled(mass).block_until_ready()


def jax_value_and_grad(evidence: Evidence) -> Evidence:
    compiled = jax.jit(jax.value_and_grad(evidence))
    return lambda mass: jax.block_until_ready(compiled(mass))[0]


def routes(dataset: al.Imaging) -> dict[str, Evidence]:
    vertices = al.image_mesh.Overlay(shape=(40, 40)).image_plane_mesh_grid_from(mask=dataset.mask)
    # Their Constant asks SciPy for the neighbours of a Delaunay mesh, which JAX cannot trace.
    meshes = {
        "RectangularUniform": (al.mesh.RectangularUniform(shape=(36, 35)), None, al.reg.Constant),
        "Delaunay": (al.mesh.Delaunay(pixels=len(vertices)), vertices, al.reg.ConstantSplit),
    }
    prepared = {"numpy": dataset, "numpy, sparse operator": dataset.apply_sparse_operator()}
    if find_spec("numba"):
        prepared["numba"] = dataset.apply_sparse_operator_cpu()
    found = {}
    for name, (mesh, centres, jax_prior) in meshes.items():
        for route, data in prepared.items():
            found[f"{name}: {route}"] = partial(
                log_evidence, data, mesh, centres, al.reg.Constant, np, SETTINGS
            )
        traced = partial(log_evidence, dataset, mesh, centres, jax_prior, jax.numpy)
        found[f"{name}: JAX value"] = jax_value(partial(traced, SETTINGS))
        found[f"{name}: JAX value_and_grad"] = jax_value_and_grad(partial(traced, SETTINGS))
        found[f"{name}: JAX value_and_grad, as shipped"] = jax_value_and_grad(partial(traced, AS_SHIPPED))
    return found


def evaluate(route: Evidence, mass: np.ndarray) -> dict[str, float]:
    begin = time.perf_counter()
    value = float(route(mass))
    return {"seconds": time.perf_counter() - begin, "value": value}


def try_out(candidates: dict[str, Evidence], mass: np.ndarray) -> tuple[list[str], dict[str, str]]:
    """Names of the routes that work, and what is wrong with the others."""
    ready, left_out = [], {}
    if not find_spec("numba"):
        left_out["numba"] = "numba is not installed beside PyAutoLens"
    for name, route in candidates.items():
        try:
            seconds = evaluate(route, mass)["seconds"]
        except Exception as error:
            left_out[name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        else:
            ready.append(name)
            print(f"PyAutoLens, {name}: first call {seconds:.1f} s", file=sys.stderr)
    return ready, left_out


def serve(candidates: dict[str, Evidence], mass: np.ndarray, answers: TextIO) -> None:
    ready, left_out = try_out(candidates, mass)
    print(json.dumps({"ready": ready, "left_out": left_out}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = evaluate(candidates[request["route"]], np.array(request["mass"]))
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what PyAutoLens prints must not mix with the answers
    logging.disable(logging.INFO)
    with np.load(sys.argv[1]) as file:
        arrays = dict(file)
    serve(routes(load(arrays)), arrays["mass"], answers)


if __name__ == "__main__":
    main()
