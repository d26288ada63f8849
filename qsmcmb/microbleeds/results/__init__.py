"""Results: what a measurement says of each lesion and of all of them together, and in which words and columns.

`measurement` turns a point's fit into a row; `table` is the one list of the lesion table's columns; `flags` the one
list of the flags; `duplicates` finds two points on one lesion; `burden` sums the lesions of a scan; `explanation` lists
what one number rests on.
"""
