"""Run the stages one after the other: one scan (`subject`), all sessions (`study`), files (`outputs`).

No other package calls two stages: a stage never calls the next one. The list of the stages is `qsmcmb.stages`.
"""

__all__: tuple[str, ...] = ()
