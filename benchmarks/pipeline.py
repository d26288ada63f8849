"""Where the time goes: one 192 x 224 x 192 scan with 5 echoes through the whole job, in its own process.

    python benchmarks/pipeline.py [FOLDER]      simulates the scan once into FOLDER, then measures

Each stage is reported in seconds and as a multiple of one forward and inverse FFT pair of the volume, measured in
the same run, so that machines can be compared; peak memory is that of the process which runs the pipeline.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

FOV_MM = (192.0, 224.0, 192.0)
TE_S = (0.004, 0.010, 0.016, 0.022, 0.028)


def simulate(folder: Path) -> None:
    """Write the scan as BIDS."""
    from qsmcmb.phantoms.recipe import read_recipe
    from qsmcmb.validation.phantom_dataset import write_phantom

    recipe = read_recipe("head")
    session = dataclasses.replace(recipe.sessions[1], te_s=TE_S)
    recipe = dataclasses.replace(recipe, fov_mm=FOV_MM, sessions=(session,), checksum="")
    write_phantom(recipe, folder)


def measure(folder: Path) -> None:
    """Run the pipeline from files to files and print one JSON line."""
    import resource

    start = time.perf_counter()
    import numpy as np

    import qsmcmb as qc
    from qsmcmb.core.fft import engine
    from qsmcmb.io.place import Place
    from qsmcmb.pipeline.outputs import write_scan

    imported = time.perf_counter() - start
    scan = qc.load_scan(folder, participant="head01")
    loaded = time.perf_counter() - start - imported
    result = qc.run_scan(scan)
    began = time.perf_counter()
    write_scan(Place(folder.with_name("out")), result)
    written = time.perf_counter() - began
    total = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    pair = engine(scan.grid.shape)
    pair.real[...] = np.float32(1)
    pair.forward()
    began = time.perf_counter()
    for _ in range(5):
        pair.forward()
        pair.inverse()
    floor = (time.perf_counter() - began) / 5
    stages = {"import": imported, "read": loaded, **result.seconds, "write": written}
    record = {
        "total_s": total,
        "peak_gib": peak,
        "pair_s": floor,
        "candidates": len(result.lesions),
        "stages": stages,
    }
    print(json.dumps(record))


def main() -> None:
    """Measure twice: the first run compiles, the second is what users wait for."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmark-data")
    bids = folder / "bids"
    if not bids.exists():
        simulate(bids)
    for label in ("first", "later"):
        command = [sys.executable, __file__, "--measure", str(bids)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        record = json.loads(out.splitlines()[-1])
        print(f"{label} run: {record['total_s']:.1f} s, peak {record['peak_gib']:.2f} GiB, "
              f"{record['candidates']} candidates")  # fmt: skip
        for stage, seconds in record["stages"].items():
            print(f"  {stage:12s} {seconds:7.2f} s {seconds / record['pair_s']:8.0f} FFT pairs")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        main()
