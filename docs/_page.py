"""What every page of the documentation begins with: the folder of the checkout, and figures of one size.

What a reader has to do of it is on the page on installing.
"""

import logging
import os
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt

ROOT = next(folder for folder in Path.cwd().resolve().parents if (folder / "pyproject.toml").exists())
os.chdir(ROOT)
sys.path.insert(0, str(ROOT / "examples"))
plt.rcParams.update({"figure.dpi": 80, "savefig.bbox": "tight", "font.size": 10})
# Samplers and compilers report where they run, which is of no use to a reader.
warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", message="IProgress not found")
for library in ("pymc", "pytensor"):
    logging.getLogger(library).setLevel(logging.ERROR)
