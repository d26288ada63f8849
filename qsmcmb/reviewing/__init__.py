"""Review of candidates: a page on this machine where readers give verdicts, and what their verdicts come to.

==================  ============================================================================
``reviewed_scan``   candidates of one scan with the logs of its readers
``study_review``    candidates of a study in a reader's order; every verdict goes through it
``patches``         images around a candidate, as the page draws them
``guard``           who may ask: host, origin, secret, content type, size
``app``             the requests of the page
``serve``           the server on 127.0.0.1
``flow_back``       verdicts into tables, forms, burden, comparison over sessions, pages
``agreement``       agreement between readers
``page/``           HTML, style sheet and script of the page
==================  ============================================================================

The logs and the tables are the study's (`qsmcmb.study.reader_log` and its neighbours); server and page need the
optional packages of the extra ``review``.
"""

__all__: tuple[str, ...] = ()
