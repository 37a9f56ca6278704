"""What a plain word of a YAML file means: the core schema of YAML 1.2.

`on`, `yes` and `1_000` are text, and `0755` is the number 755; YAML 1.1, which most parsers still speak, has it otherwise.
"""

from __future__ import annotations

import re

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_BEGINS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)

# Python refuses to read integers of thousands of digits, and no key wants more than six.
_LONGEST_NUMBER = 40


def resolved(word: str) -> str | float | bool | None:
    """Return what an unquoted scalar stands for."""
    if word in _WORDS:
        return _WORDS[word]
    if word[0] not in _NUMBER_BEGINS or len(word) > _LONGEST_NUMBER:
        return word
    if _INTEGER.fullmatch(word):
        return int(word)
    if _OTHER_BASE.fullmatch(word):
        return int(word, base=0)
    return float(_spelled_for_python(word)) if _FLOAT.fullmatch(word) else word


def _spelled_for_python(number: str) -> str:
    return number.lower().replace(".inf", "inf").replace(".nan", "nan")
