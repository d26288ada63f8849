"""Run a study on SLURM: one job per worker, one session at a time in each."""

import subprocess
import sys

from dask_jobqueue import SLURMCluster

BIDS, OUT = "/shared/study/bids", "/shared/study/derivatives/qsmcmb"
N_JOBS = 50

if __name__ == "__main__":
    cluster = SLURMCluster(
        account="my-account",
        queue="normal",
        walltime="12:00:00",
        cores=4,
        processes=1,
        memory="8GB",
        local_directory="/tmp",
        log_directory="/shared/study/dask-logs",
        job_script_prologue=["source /shared/qsmcmb/bin/activate"],
        python="/shared/qsmcmb/bin/python",
        # A worker leaves before its job's time is over, and not all at the same time.
        worker_extra_args=["--lifetime", "11h", "--lifetime-stagger", "30m"],
    )
    cluster.scale(jobs=N_JOBS)
    arguments = ["run", BIDS, OUT, "participant", "--scheduler", cluster.scheduler_address, *sys.argv[1:]]
    code = subprocess.run(["qsmcmb", *arguments], check=False).returncode
    cluster.close()
    sys.exit(code)
