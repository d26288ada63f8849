"""The page of the Python interface: every public name of `qsmcmb`, with its signature and docstring."""

from __future__ import annotations

import inspect
import textwrap

import qsmcmb

__all__ = ("render_api",)

OPENING = """# Python

```python
import qsmcmb as qc
```

These names are the interface. They are loaded on first use: `import qsmcmb` compiles nothing. Arrays go in and come
out, with axes (x, y, z), echoes before them. Nothing is global, and nothing is printed.
"""


def render_api() -> str:
    """Return the page: functions, records, errors."""
    names = [n for n in qsmcmb.__all__ if n != "__version__"]
    classes = [n for n in names if inspect.isclass(getattr(qsmcmb, n))]
    errors = [n for n in classes if issubclass(getattr(qsmcmb, n), Exception)]
    groups = {
        "Functions": [n for n in names if n not in classes],
        "Records": [n for n in classes if n not in errors],
        "Errors": errors,
    }
    parts = [OPENING]
    for title, members in groups.items():
        parts.append(f"## {title}\n\n{_rst(_summary(members))}")
        parts += [f"### {name}\n\n{_rst(_entry(name, name in classes))}" for name in members]
    return "\n".join(parts)


def _rst(text: str) -> str:
    return f"```{{eval-rst}}\n{text}```\n"


def _summary(names: list[str]) -> str:
    listed = textwrap.indent("\n".join(f"qsmcmb.{n}" for n in names), "   ")
    return f".. autosummary::\n   :nosignatures:\n\n{listed}\n"


def _entry(name: str, is_class: bool) -> str:
    return (
        f".. autoclass:: qsmcmb.{name}\n   :members:\n" if is_class else f".. autofunction:: qsmcmb.{name}\n"
    )
