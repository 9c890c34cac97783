"""For the API pages: fields of dataclasses and named tuples, described by the comments at the end of their lines."""

import ast
import re
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """Lists `name: type  # comment` under the docstring of its class, as Google's `Attributes:` do.

    A named tuple is given the signature that a dataclass has.
    """

    def on_class_members(self, *, node: Any, cls: griffe.Class, agent: Any, **kwargs: Any) -> None:
        """A class has been read."""
        if cls.docstring is None or not hasattr(agent, "code"):
            return
        fields = [line for line in node.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)]
        lines = agent.code.splitlines()
        comments = {field.target.id: _comment(lines, field) for field in fields}
        listed = "".join(f"\n    {name}: {comment}" for name, comment in comments.items() if comment)
        if listed and "Attributes:" not in cls.docstring.value:
            cls.docstring.value += f"\n\nAttributes:{listed}"
        if "NamedTuple" in map(str, cls.bases):
            cls.set_member("__init__", _signature(cls, list(comments)))


def _signature(cls: griffe.Class, fields: list[str]) -> griffe.Function:
    """What makes an instance from its fields."""
    given = griffe.ParameterKind.positional_or_keyword
    parameters = [griffe.Parameter("self", kind=given)]
    for name in fields:
        field = cls.members[name]
        parameters.append(griffe.Parameter(name, annotation=field.annotation, kind=given, default=field.value))
    return griffe.Function("__init__", parameters=griffe.Parameters(*parameters), parent=cls)


def _comment(lines: list[str], field: ast.AnnAssign) -> str:
    """The comment that follows a field on its line; nothing where there is none."""
    assert field.end_lineno is not None
    beside = lines[field.end_lineno - 1].encode()[field.end_col_offset :].decode()
    found = re.match(r"\s+# (?!fmt|noqa|type:)(.+)", beside)
    return found[1] if found else ""
