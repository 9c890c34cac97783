"""Damage to the content of a file: bits, bytes, pieces and, in JSON, values and names."""

import io
import json
import random
import zipfile
from collections.abc import Iterator
from typing import Any

_BYTES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff" * 4, b"\xff" * 8, b"\0" * 8, b"\1" + b"\0" * 7)
_TEXTS = (
    "null", "-1", "1e999", "NaN", "[]", "{}", '""', '"\\ud800"', "[" * 50, '"../../x"', "9" * 400, "true", '"', ",",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, -0.0, float("nan"), float("inf"), "", "x", "../../x",
    "a" * 300, "\ud800", "\0", "<script>", [], [[]], {}, {"": None}, [None], ["x"], [1, 2], [-1], {"x": 1},
)  # fmt: skip
_NAMES = ("../../x.npy", "reward.npy", "x", "discount.npy", "physics.npy", "x/y.npy")  # of members of an archive


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The content with one to three random changes: mostly in the members of an archive, in the values of JSON."""
    if zipfile.is_zipfile(io.BytesIO(content)) and draw.random() < 0.7:
        return _archive(content, draw)
    if content[:1] in b"{[" and draw.random() < 0.7:
        return _json(content, draw)
    for _ in range(draw.choice((1, 1, 2, 3))):
        content = _bytes(content, draw)
    return content


def _bytes(content: bytes, draw: random.Random) -> bytes:
    # The first bytes of a file say how the others are read.
    last = draw.choice((len(content), min(len(content), 512)))
    at, length = draw.randint(0, last), draw.choice((1, 2, 4, 8, 16, 64, 1024))
    match draw.randrange(8):
        case 0 if at < len(content):
            return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
        case 1:
            return content[:at] + draw.randbytes(length) + content[at + length :]
        case 2:
            return content[:at] + content[at + length :]
        case 3:
            return content[:at]
        case 4:
            return content[:at] + draw.choice(_BYTES) + content[at:]
        case 5:
            known = draw.choice(_BYTES)
            return content[:at] + known + content[at + len(known) :]
        case 6:
            other = draw.randint(0, len(content))
            return content[:at] + content[other : other + length] + content[at + length :]
        case _:
            return content[:at] + draw.choice(_TEXTS).encode() + content[at + draw.choice((0, 1, 4)) :]


def _archive(content: bytes, draw: random.Random) -> bytes:
    """The members of an archive changed, and packed again: its own checksums are right."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # damaged already
        members = {}
    if not members:
        return _bytes(content, draw)
    name = draw.choice(list(members))
    match draw.randrange(4):
        case 0:
            del members[name]
        case 1:
            members[draw.choice(_NAMES)] = members[name]
        case _:
            members[name] = _bytes(members[name], draw)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return stream.getvalue()


def _json(content: bytes, draw: random.Random) -> bytes:
    """One value of a JSON text, or of a line of a JSONL file, replaced, removed or renamed."""
    lines = content.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    try:
        value, at, lines = json.loads(content), 0, [content]
    except (ValueError, RecursionError):
        try:
            value = json.loads(lines[at])
        except (ValueError, RecursionError):
            return _bytes(content, draw)
    holder, key = draw.choice(list(_places(value)) or [([value], 0)])
    match draw.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[draw.choice(("", "x", "name", "format", "update"))] = holder.pop(key)
        case _:
            holder[key] = draw.choice(_VALUES)
    lines[at] = json.dumps(value).encode() + b"\n"
    return b"".join(lines)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every dictionary or list within a value with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
