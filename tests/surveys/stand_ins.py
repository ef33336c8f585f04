"""Fits that take no time, and what may happen to them; lenses for them."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pymc_lens as pl
from pymc_lens.storage import complete_or_not

RADIUS = 1.25


def catalogue(folder: Path, names: list[str]) -> Path:
    """Write a table of lenses that share three files."""
    image = np.random.default_rng(0).standard_normal((24, 24))
    files = [folder / f"{name}.fits" for name in ("image", "psf", "noise")]
    pl.Imaging(image, np.ones((24, 24)), np.ones((3, 3)), 0.1).to_fits(files)
    table = pd.DataFrame({"name": names, "image": "image.fits", "noise": "noise.fits", "psf": "psf.fits"})
    table.to_csv(folder / "lenses.csv", index=False)
    return folder / "lenses.csv"


def fit(
    dataset: pl.Imaging,
    *,
    out: Path,
    cores: int,
    progressbar: bool,
    random_seed: int,
    draws: int = 0,
) -> None:
    """Do what the lens's name says, and leave a summary as `fit_lens` does; each call is a line of a file."""
    assert isinstance(dataset, pl.Imaging)
    with (out / "calls.txt").open("a") as file:
        file.write(f"{os.getpid()} {cores}\n")
    (out / "stage_search.pickle").write_bytes(b"0")
    kind = out.name.split("_")[0]
    if kind == "dies" or (kind == "dying" and calls(out) < 2):
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "wrong":
        raise ValueError("dataset: nothing\nshines.")
    if kind == "greedy":
        hold: list[Any] = []
        while True:
            hold.append(np.ones(1_000_000))
            time.sleep(0.002)
    if kind == "large":
        with complete_or_not(out / "posterior.nc") as unfinished:
            unfinished.write_bytes(bytes(3_000_000))
    while kind == "waits" and not (out.parent / "go").exists():
        time.sleep(0.05)
    interval = {"low": RADIUS - 0.1, "median": RADIUS, "high": RADIUS + 0.1}
    summary = {
        "theta_e": interval, "q": interval, "shear": interval, "pa": {"median": 30.0}, "verdict": "keep",
        "wall_s": 60.0, "reason": "<b>a look</b> & more", "sampler": "importance",
    }  # fmt: skip
    (out / "summary.json").write_text(json.dumps(summary))


def calls(folder: Path) -> int:
    """Return how often a lens was begun."""
    path = folder / "calls.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0
