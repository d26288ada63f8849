"""Files in and out, through strict gates: NIfTI, BIDS, sidecars, tables. Nothing else imports nibabel."""

__all__: tuple[str, ...] = ()
