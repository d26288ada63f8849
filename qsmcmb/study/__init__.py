"""A study: all sessions of a data set from BIDS to tables and pages, whoever asks for them.

`sessions` runs every session, one bad one never stops the others; `longitudinal` compares the sessions of a subject;
`pages` writes a subject's page; `selection` picks participants; `log` keeps the log of a run. The command line and a
cluster's scheduler both call these; stages of one scan meet in `qsmcmb.pipeline`.
"""

__all__: tuple[str, ...] = ()
