"""Every flag that a row can have has words, and every flag that has words can be raised."""

from __future__ import annotations

import re
from pathlib import Path

import qsmcmb
from qsmcmb.microbleeds.results.flags import FLAGS, Flag

PACKAGE = Path(qsmcmb.__file__).parent / "microbleeds"


def test_every_flag_can_be_raised() -> None:
    code = "".join(p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.py") if p.name != "flags.py")
    assert set(re.findall(r"\bFlag\.([A-Z_]+)", code)) == {flag.name for flag in Flag}


def test_no_flag_is_raised_by_another_word() -> None:
    # A flag's word stands in flags.py alone: what raises one takes it from there. The gates have words of their own.
    words = {f'"{flag.value}"' for flag in Flag}
    for path in PACKAGE.rglob("*.py"):
        if path.name not in ("flags.py", "examined.py"):
            text = re.sub(r'"""[\s\S]*?"""', "", path.read_text(encoding="utf-8"))
            assert not [w for w in words if w in text], path


def test_words_explain_each_flag() -> None:
    assert list(FLAGS) == [str(flag) for flag in Flag]
    for flag in Flag:
        assert FLAGS[flag.value] == flag.meaning
        assert flag.value == flag.name.lower().replace("_", "-")
        assert flag.meaning[0].isupper()
        assert flag.meaning.endswith(".")
    assert len(set(FLAGS.values())) == len(FLAGS)
