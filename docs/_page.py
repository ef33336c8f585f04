"""What every page of the documentation begins with: the folder of the checkout, and figures of one size.

What a reader has to do of it is on the page on installing.
"""

import fcntl
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt

ROOT = next(folder for folder in Path.cwd().resolve().parents if (folder / "pyproject.toml").exists())
os.chdir(ROOT)
sys.path.insert(0, str(ROOT / "examples"))
# Pages are built side by side, each on a processor of its own: processes of each would get in the way of the
# other's.
for processor in sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ():
    taken = (Path(tempfile.gettempdir()) / f"pymc_lens_page_on_{processor}.lock").open("w")
    try:
        fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        continue
    os.sched_setaffinity(0, {processor})
    break
plt.rcParams.update({"figure.dpi": 80, "savefig.bbox": "tight", "font.size": 10})
# Samplers and compilers report where they run, which is of no use to a reader.
warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", message="IProgress not found")
for library in ("pymc", "pytensor"):
    logging.getLogger(library).setLevel(logging.ERROR)
