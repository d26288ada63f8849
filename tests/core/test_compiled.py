"""What importing the decorator does for the runtimes that are loaded after it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import qsmcmb
from qsmcmb.core.compiled import cache_folder

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
