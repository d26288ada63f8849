"""Results: rows of the lesion table, their flags, the burden of a scan, and the explanation of a number.

`measurement` turns a point's fit into a row; `table` is the one list of the lesion table's columns; `flags` the one
list of the flags; `duplicates` finds two points on one lesion; `burden` sums the lesions of a scan; `explanation`
lists the fit, the other estimators and the scan's properties behind one number (`explanation_records` has its keys).
"""
