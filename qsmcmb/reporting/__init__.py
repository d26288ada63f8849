"""Make pages from finished derivatives: figures, one self-contained HTML file per subject, and its methods section."""

__all__: tuple[str, ...] = ()
