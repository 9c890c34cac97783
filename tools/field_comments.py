"""For the API pages: the comment at the end of a field's line is its description."""

import ast
import re
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """Gives attributes without a docstring the comment beside them, `name: type  # comment`, as one."""

    def on_attribute_instance(self, *, node: Any, attr: griffe.Attribute, agent: Any, **kwargs: Any) -> None:
        if attr.docstring is not None or not isinstance(node, ast.AnnAssign | ast.Assign) or node.end_lineno is None:
            return
        line = agent.code.splitlines()[node.end_lineno - 1] if hasattr(agent, "code") else ""
        beside = line.encode()[node.end_col_offset :].decode()
        if found := re.match(r"\s+# (.+)", beside):
            attr.docstring = griffe.Docstring(found[1], lineno=node.end_lineno, parent=attr)
