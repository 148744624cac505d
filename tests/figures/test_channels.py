"""What charts encode is said by channels of altair."""

import ast

import pytest

from core.system.places import ROOT

FILES = sorted([*ROOT.glob("core/figures/*.py"), *ROOT.glob("pages/**/*.py")])


@pytest.mark.parametrize(
    "file", [file for file in FILES if ".encode(" in file.read_text("utf-8")], ids=lambda f: f.name
)
def test_no_channel_is_a_bare_word(file):
    # For each bare word, altair goes over all classes of its schema: milliseconds, where `alt.X(...)` takes none.
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "encode":
            for one in node.keywords:
                values = one.value.elts if isinstance(one.value, ast.List) else [one.value]
                assert not any(isinstance(value, ast.Constant | ast.JoinedStr) for value in values), (
                    node.lineno,
                    one.arg,
                )
