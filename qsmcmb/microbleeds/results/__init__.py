"""Results: rows of the lesion table, their flags, the burden of a scan, and the explanation of a number.

`measurement` turns a point's fit into a `qsmcmb.lesion.Microbleed`, whose fields are the columns of the lesion table;
`table` holds those of a scan; `flags` is the one list of the flags; `duplicates` finds two points on one lesion;
`evidence` holds what says whether a candidate is a microbleed, `mimics` its probability, `naming` kind and certainty;
`burden` sums the lesions of a scan; `explanation` lists the fit, the other estimators and the scan's properties behind
one number (`explanation_records` has its keys).
"""

__all__: tuple[str, ...] = ()
