"""Numbers that must not change unnoticed: a small scan through `quantify`, its results stored in a text file.

`python -m tests.golden.rebuild` writes the file anew; the CHANGELOG says then what has changed, and why.
"""
