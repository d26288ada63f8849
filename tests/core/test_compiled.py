"""What importing the decorator does for the runtimes that are loaded after it."""

import os
import subprocess
import sys

import pytest

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
