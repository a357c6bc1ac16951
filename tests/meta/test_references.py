"""What a page or a list names as the test that shows something is there: a test that moves takes its mentions along."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.conftest import LONG_PLAYS

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`(?:(tests/[\w/]+\.py)::)?(test_\w+)`")
"""A test with its file, or without: then it is in the file that was named before it in the line."""
_FILE = re.compile(r"\btests/[\w/]+\.py\b")


@cache
def _tests_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {one.name for one in ast.walk(tree) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}


def test_a_test_that_a_page_names_is_there() -> None:
    gone = []
    for page in sorted((*ROOT.glob("docs/**/*.md"), ROOT / "README.md")):
        for line in page.read_text().splitlines():
            gone += [(page.name, file) for file in _FILE.findall(line) if not (ROOT / file).is_file()]
            within = ""
            for file, name in _NAMED.findall(line):
                within = file or within
                if within and (ROOT / within).is_file() and name not in _tests_in(within):
                    gone.append((page.name, f"{within}::{name}"))
    assert gone == []


def test_whole_runs_are_listed_by_files_that_are_there() -> None:
    """What is listed and gone would be covered again, two to three times slower, and nobody would notice."""
    assert [file for file in LONG_PLAYS if not (ROOT / "tests" / file).is_file()] == []
