"""DICOM in and out: a folder of a scanner's files becomes BIDS, and results become series that a viewer shows.

The only user of pydicom and dcm2niix; both are optional (`pip install qsmcmb[dicom]`).
"""

__all__: tuple[str, ...] = ()
