"""Studies on a cluster: sessions and subjects as tasks of Dask's workers, each in a process of its own.

=================  =================================================================================
``cluster``        the client: starts or finds a scheduler, gives out tasks, hears of lost workers
``placement``      which task goes to which worker; knows no Dask
``fitness``        whether a worker has the same code and sees the same files
``children``       the worker's part: a process for each task, and its end when nobody wants it
=================  =================================================================================
"""

__all__: tuple[str, ...] = ()
