"""The page of a survey, in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pymc_lens.surveys.report import write_report
from pymc_lens.surveys.table import SCHEMA

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# What somebody would do with the mouse, and what is seen then, written into the page's title.
CLICKS = """<script>
const head = name => [...document.querySelectorAll("th")].find(th => th.textContent === name);
const names = () => [...document.querySelectorAll("tbody tr")].map(tr => tr.children[1].textContent);
const seen = {first: names().slice(0, 2), rows: names().length};
head("theta_e").click();
seen.ascending = names().slice(0, 2);
head("theta_e").click();
seen.descending = names().slice(0, 2);
byId("next").click();
seen.last = names().at(-1);
byId("verdict").value = "fail";
byId("verdict").onchange();
seen.failed = names();
seen.reason = document.querySelector("td.reason").textContent;
byId("verdict").value = "";
byId("text").value = "LENS_07";
byId("text").oninput();
seen.found = names();
const img = document.querySelector("tbody img");
img.loading = "eager";
img.decode().then(() => seen.width = img.naturalWidth, error => seen.width = String(error)).then(
  () => document.title = JSON.stringify(seen));
</script></html>"""
EVIL = "</script><b>bold</b> & \u2028"


@pytest.fixture(name="out")
def _out(tmp_path: Path) -> Path:
    n = 60
    table = pd.DataFrame({name: [np.nan] * n for name in SCHEMA.names})
    table["name"] = [f"lens_{k:02d}" for k in range(n)]
    table["theta_e"] = [2.0 - 0.01 * k for k in range(n)]
    table["verdict"], table["fitted"], table["reason"] = "keep", True, None
    table.loc[5, ["verdict", "fitted", "theta_e", "reason"]] = ["fail", False, np.nan, EVIL]
    write_report(table, tmp_path)
    (tmp_path / "lens_07").mkdir()
    Image.new("RGB", (31, 40)).save(tmp_path / "lens_07" / "page.png")
    return tmp_path


def test_the_page_asks_nothing_of_the_network(out):
    page = (out / "report.html").read_text()
    assert not re.search(r"https?:|src=|@import|url\(", page)
    assert EVIL not in page
    assert page.count("</script>") == 2


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_page_sorts_and_finds(out):
    page = out / "clicked.html"
    page.write_text((out / "report.html").read_text().replace("</html>", CLICKS))
    shown = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={out / 'profile'}",
         "--virtual-time-budget=10000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, check=True, timeout=300,
    ).stdout  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)
    seen = json.loads(html.unescape(title[1]))
    assert seen["first"] == ["lens_00", "lens_01"]
    assert seen["rows"] == 50
    assert seen["ascending"] == ["lens_59", "lens_58"]
    assert seen["descending"] == ["lens_00", "lens_01"]
    assert seen["last"] == "lens_05"  # what has no number comes last, whichever way
    assert seen["failed"] == ["lens_05"]
    assert seen["reason"] == EVIL
    assert seen["found"] == ["lens_07"]
    assert seen["width"] == 31
    assert "59 keep, 1 fail" in shown
