"""What importing the decorator does for the runtimes that are loaded after it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import qsmcmb
from qsmcmb.core.compiled import cache_folder

ROOT = Path(__file__).parents[2]
SHOW = "import os, qsmcmb.core.fft; print(os.environ['OMP_WAIT_POLICY'])"


@pytest.mark.parametrize(("own", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(own, found):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if own is not None:
        environment["OMP_WAIT_POLICY"] = own
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == found


def test_the_cache_is_kept_from_version_to_version(tmp_path):
    shutil.copytree(Path(qsmcmb.__file__).parent, tmp_path / "qsmcmb")
    (tmp_path / "PKG-INFO").write_text("Name: qsmcmb\nVersion: 9.9.9\n\n")
    show = "import qsmcmb; from qsmcmb.core.compiled import cache_folder; print(qsmcmb.__version__, cache_folder())"
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"9.9.9 {cache_folder()}"
    assert qsmcmb.__version__ != "9.9.9"


LOOP = """
import numpy as np
from qsmcmb.core.compiled import compiled

@compiled
def total(values):
    out = 0.0
    for v in values:
        out += v
    return out

print(total(np.arange(4.0)), total._cache_hits)
"""


def run_loop(folder: Path) -> tuple[str, str]:
    """Return what a process prints that compiles a loop or finds it in the cache."""
    (folder / "loop.py").write_text(LOOP) if not (folder / "loop.py").exists() else None
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "NUMBA_DISABLE_JIT": "0"}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "loop.py"], cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the cache is found by XDG_CACHE_HOME")
def test_damaged_machine_code_is_compiled_anew(tmp_path):
    assert run_loop(tmp_path)[0].startswith("6.0 Counter()")
    stdout, stderr = run_loop(tmp_path)
    assert ": 1" in stdout
    assert not stderr
    (index,) = (tmp_path / "cache").rglob("loop*.nbi")
    (data,) = (tmp_path / "cache").rglob("loop*.nbc")
    flipped = bytearray(data.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    for path, content in ((index, b""), (index, index.read_bytes()[:20]), (data, b""), (data, data.read_bytes()[:500]),
                          (data, bytes(flipped))):  # fmt: skip
        path.write_bytes(content)
        stdout, stderr = run_loop(tmp_path)
        assert stdout.startswith("6.0 Counter()")
        assert "damaged and made anew" in stderr
        assert ": 1" in run_loop(tmp_path)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="the cache is found by XDG_CACHE_HOME")
def test_nobody_else_writes_into_the_cache(tmp_path):
    folder = tmp_path / "cache" / "qsmcmb"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    run_loop(tmp_path)
    assert folder.stat().st_mode & 0o022 == 0
