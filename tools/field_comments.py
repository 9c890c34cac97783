"""For the API pages: the fields of a dataclass or named tuple, described by the comments at the end of their lines."""

import ast
import re
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """Lists `name: type  # comment` under the docstring of its class, as Google's `Attributes:` do."""

    def on_class_members(self, *, node: Any, cls: griffe.Class, agent: Any, **kwargs: Any) -> None:
        """A class has been read."""
        if cls.docstring is None or "Attributes:" in cls.docstring.value or not hasattr(agent, "code"):
            return
        fields = [line for line in node.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)]
        lines = agent.code.splitlines()
        comments = {field.target.id: _comment(lines, field) for field in fields}
        listed = "".join(f"\n    {name}: {comment}" for name, comment in comments.items() if comment)
        if listed:
            cls.docstring.value += f"\n\nAttributes:{listed}"


def _comment(lines: list[str], field: ast.AnnAssign) -> str:
    """The comment that follows a field on its line; nothing where there is none."""
    assert field.end_lineno is not None
    beside = lines[field.end_lineno - 1].encode()[field.end_col_offset :].decode()
    found = re.match(r"\s+# (?!fmt|noqa|type:)(.+)", beside)
    return found[1] if found else ""
