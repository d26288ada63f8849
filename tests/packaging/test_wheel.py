"""The built wheel, installed on its own, finds its data and tells the version of the tree it was built from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from qsmcmb.version import version_of

ROOT = Path(__file__).resolve().parents[2]
CHECK = """
import sys
sys.path.insert(0, {target!r})
import qsmcmb
assert qsmcmb.__file__.startswith({target!r}), qsmcmb.__file__
from qsmcmb.phantoms.recipe import data_folder, list_recipes, read_recipe
from qsmcmb.phantoms.build import lesions_of
assert str(data_folder()).startswith({target!r})
assert 'demo' in list_recipes()
assert len(lesions_of(read_recipe('demo'))) == 11
import jinja2
assert jinja2.PackageLoader('qsmcmb.reporting').list_templates()
from qsmcmb.reporting.niivue import niivue_source
assert 'niivue' in niivue_source()
print(qsmcmb.__version__)
"""


def test_installed_wheel_finds_its_data(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    target = str(tmp_path / "site")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", target, str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    code = CHECK.format(target=target)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() == version_of(ROOT)
    metadata = next(Path(target).glob("qsmcmb-*.dist-info")) / "METADATA"
    assert f"Version: {out.stdout.strip()}" in metadata.read_text()
