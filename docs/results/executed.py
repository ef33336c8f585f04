"""What pages that take minutes showed when they last ran: kept, so that a build need not run them again.

    python docs/results/executed.py      # after make docs-test, which runs every page: keep what it has found

A page whose code is another now is run. One whose code is the same is not, though the package may have
changed: ``make docs-test`` runs all.
"""

from contextlib import suppress
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CachingError

DOCS = Path(__file__).resolve().parents[1]
EXECUTED = DOCS / "results" / "executed"
PAGES = ("how_uncertainty", "model_comparison", "next_fits", "populations", "sampling")


def into_cache(folder: str) -> None:
    """Put them into the cache that a build reads."""
    cache = get_cache(folder)
    for page in PAGES:
        with suppress(CachingError):  # it has been run here
            cache.cache_notebook_file(
                str(EXECUTED / f"{page}.ipynb"), uri=str(DOCS / f"{page}.md"), check_validity=False
            )


def out_of_cache(folder: Path) -> None:
    """Keep what was run last."""
    EXECUTED.mkdir(exist_ok=True)
    cache = get_cache(str(folder))
    for record in sorted(cache.list_cache_records(), key=lambda each: each.created):
        page = Path(record.uri).stem
        if page in PAGES:
            executed = nbformat.writes(cache.get_cache_bundle(record.pk).nb)
            # Warnings say where they are from.
            (EXECUTED / f"{page}.ipynb").write_text(executed.replace(f"{DOCS.parent}/", "") + "\n")


if __name__ == "__main__":
    out_of_cache(DOCS / "_jupyter_cache")
