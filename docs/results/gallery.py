"""Table and pictures of the page on unattended fits, from a folder of lenses.

    make docs-results SLACS=DIR OUT=DIR

DIR holds a folder a lens (image.fits, noise.fits, psf.fits) and table.csv with the Einstein radii of Bolton
et al. 2008 as bSIE. A fit that was interrupted goes on from what is in OUT.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from PIL import Image

import pymc_lens as pl
from pymc_lens.pipeline.folders import lens_folders
from pymc_lens.surveys.table import row_of

HERE = Path(__file__).parent
WIDTH = 900


def main(lenses: Path, out: Path) -> None:
    """Fit, and draw what the page shows."""
    with (lenses / "table.csv").open() as file:
        published = {row["lens_name"]: row["bSIE"] for row in csv.DictReader(file)}
    rows = []
    for lens in lens_folders(lenses):
        result = pl.fit_lens(pl.pipeline.read_folder(lens, 0.05), out=out / lens.name)
        rows.append({"name": lens.name, "bolton": published[lens.name]} | row_of(result.summary))
    with (HERE / "lenses.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        fit = Image.open(out / row["name"] / "fit.png").convert("RGB")
        fit.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        fit.save(HERE / f"{row['name']}.jpg", quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
