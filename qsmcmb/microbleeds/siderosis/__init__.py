"""Superficial siderosis: sheets of iron along the brain's surface, as areas for a reader to look at.

`areas` finds and measures them on the maps, `table` holds the columns of `*_desc-siderosis_areas.tsv`.
"""

__all__: tuple[str, ...] = ()
