"""The page of the error codes: `python -m tests.docs.error_page` writes docs/reference/errors.md anew."""

from __future__ import annotations

import textwrap
from pathlib import Path

from qsmcmb.error_codes import ERROR_CODES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
OPENING = """# Error codes

An input error reads `ERROR CODE file: field = found; expected ... Fix: ...`. A code never changes its meaning.
`qsmcmb explain CODE` prints the entry of a code. `qsmcmb check BIDS` lists every error of a data set at once.
"""


def render_page() -> str:
    """Return the page: one section for each code."""
    return "\n".join(
        [
            OPENING,
            *(
                f"## {code}\n\n**{entry.title}.**\n\n{wrap(entry.meaning)}\n\n{wrap(f'Fix: {entry.cure}')}\n"
                for code, entry in ERROR_CODES.items()
            ),
        ]
    )


def wrap(text: str) -> str:
    """Return a paragraph in lines of the pages' width."""
    return textwrap.fill(text, 130, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
