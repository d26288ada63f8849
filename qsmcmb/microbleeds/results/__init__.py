"""Results: what a measurement says of each lesion, of all of them together, and in which words and columns.

`table` is the one registry of the lesion table's columns; `duplicates` finds two points on one lesion; `burden` sums
the lesions of a scan; `explanation` lists what one number rests on; `flags` has the words of each flag.
"""
