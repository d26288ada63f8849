"""Pages from finished derivatives: figures, one self-contained HTML file per subject."""
