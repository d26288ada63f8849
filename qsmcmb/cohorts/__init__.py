"""Statistics of a study and simulated trials: rows of results in, rows of statistics out.

| module | question |
|---|---|
| `study_tables` | which rows does the study have, one per lesion, scan and subject? |
| `proportions`, `two_by_two`, `rates` | how many have microbleeds, or new ones, and how do two arms differ? |
| `design`, `regression` | the same, adjusted for covariates; what data cannot say is found before a library is asked |
| `mixed_model` | how does the total susceptibility of a lesion vary over subjects, lesions and scans, and with time? |
| `agreement`, `harmonisation` | how well do two scans agree, and which numbers does the protocol move? |
| `analysis` | all of these over one study |
| `trials` | odds ratios of published trials, recomputed |
| `measured_errors`, `simulate`, `endpoints`, `power` | how many subjects does a trial need, by each endpoint? |
"""

from __future__ import annotations

__all__: tuple[str, ...] = ()
