"""How the documentation is built: ``make docs``."""

import os
import sys
from pathlib import Path

import pymc_lens

HERE = Path(__file__).parent
# Classes by the name that docstrings use.
OURS = {
    name: f"{module.__name__}.{name}"
    for module in (pymc_lens.image_mesh, pymc_lens.light, pymc_lens.mass, pymc_lens.mesh,
                   pymc_lens.pipeline, pymc_lens.quantities, pymc_lens.regularization, pymc_lens)
    for name in module.__all__
    if isinstance(getattr(module, name), type)
}  # fmt: skip

project = "pymc_lens"
author = "The pymc_lens developers"
project_copyright = author
version = release = pymc_lens.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "_jupyter_cache", "results/README.md", "results/executed"]
templates_path = ["_templates"]
# Docstrings write `Name` for what can be linked and what cannot alike.
default_role = "py:obj"

# Pages of code cells are run; what has not changed since the last build comes from the cache.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_jupyter_cache")
nb_execution_timeout = 3600
nb_execution_raise_on_error = True
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_attributes_as_param_list = True
# Types of parameters and returns are links, where they are a name of ours or one of these.
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {
    "Axes": "matplotlib.axes.Axes",
    "DataArray": "xarray.DataArray",
    "DataFrame": "pandas.DataFrame",
    "DataTree": "xarray.DataTree",
    "Figure": "matplotlib.figure.Figure",
    "Generator": "numpy.random.Generator",
    "Path": "pathlib.Path",
    "Quantity": "astropy.units.Quantity",
    "TensorVariable": "pytensor.tensor.TensorVariable",
    "WCS": "astropy.wcs.WCS",
    "pm.Model": "pymc.Model",
} | OURS

# Inventories are kept here, so that no build needs the network; _inventories/make.py writes the small ones.
intersphinx_mapping = {
    name: (url, str(HERE / "_inventories" / f"{name}.inv"))
    for name, url in {
        "arviz_plots": "https://python.arviz.org/projects/plots/en/stable/",
        "arviz_stats": "https://python.arviz.org/projects/stats/en/stable/",
        "astropy": "https://docs.astropy.org/en/stable/",
        "matplotlib": "https://matplotlib.org/stable/",
        "numpy": "https://numpy.org/doc/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
        "pymc": "https://www.pymc.io/projects/docs/en/stable/",
        "pytensor": "https://pytensor.readthedocs.io/en/latest/",
        "python": "https://docs.python.org/3/",
        "scipy": "https://docs.scipy.org/doc/scipy/",
        "xarray": "https://docs.xarray.dev/en/stable/",
    }.items()
}

html_theme = "pydata_sphinx_theme"
html_title = "pymc_lens"
html_static_path = ["_static"]
html_css_files = ["pymc_lens.css"]
html_show_sourcelink = False
# Two dozen pages are too many for a header: they stand at the left, under the captions of the front page.
html_sidebars = {"**": ["all-pages.html"]}
html_theme_options = {
    "navbar_center": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def _deal(app, env, docnames):
    """Put pages that sample first, and among the others those that run nothing.

    Sphinx gives its processes one piece of the names after the other. Were these sorted, all pages that take
    long would be in a few pieces, and one process would end minutes after the other.
    """
    text = {name: Path(env.doc2path(name)).read_text() for name in docnames}
    running = [name for name in docnames if "{code-cell}" in text[name]]
    running.sort(key=lambda name: -text[name].count("sample("))
    still = [name for name in docnames if name not in running]
    place = {name: i / len(group) for group in (running, still) for i, name in enumerate(group)}
    docnames.sort(key=place.__getitem__)


def setup(app):
    """Sphinx calls this."""
    app.connect("env-before-read-docs", _deal)
    if "DOCS_ANEW" not in os.environ:
        sys.path.insert(0, str(HERE / "results"))
        from executed import into_cache

        into_cache(nb_execution_cache_path)
