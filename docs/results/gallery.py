"""Table and pictures of the page on unattended fits, from a survey of lenses.

    make docs-results SLACS=DIR OUT=DIR

DIR holds a folder a lens (image.fits, noise.fits, psf.fits) and table.csv with the Einstein radii of Bolton
et al. 2008 as bSIE. The survey is made first, one lens at a time, or goes on from what is in OUT.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
WIDTH = 800


def main(lenses: Path, out: Path) -> None:
    """Gather what the page shows."""
    with (lenses / "table.csv").open() as file:
        published = {row["lens_name"]: row["bSIE"] for row in csv.DictReader(file)}
    with (out / "lenses.csv").open() as file:
        rows = [row | {"bolton": published[row["name"]]} for row in csv.DictReader(file)]
    with (HERE / "lenses.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        page = Image.open(out / row["name"] / "page.png").convert("RGB")
        page.thumbnail((WIDTH, 2 * WIDTH), Image.Resampling.LANCZOS)
        page.save(HERE / f"{row['name']}.jpg", quality=75, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
