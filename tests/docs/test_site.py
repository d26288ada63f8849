"""The site is built without a warning: no link leads nowhere, no page is in no list, no equation fails."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site."""
    out = tmp_path_factory.mktemp("site")
    call = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", str(DOCS), str(out)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_there(site: Path) -> None:
    pages = {
        p.relative_to(DOCS).with_suffix(".html") for p in DOCS.rglob("*.md") if not p.name.startswith("_")
    }
    assert len(pages) > 60
    assert [p.as_posix() for p in sorted(pages) if not (site / p).is_file()] == []


def test_equations_are_drawn_without_a_script(site: Path) -> None:
    page = (site / "explanation" / "lesion-fit.html").read_text(encoding="utf-8")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') >= 8


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|iframe)[^>]+src="https?:[^"]*"', text), page
        assert not re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="https?:[^"]*"', text), page
