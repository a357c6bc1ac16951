"""What is put together is put together once: nobody reaches into an object after it was made."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meta.test_repository import ROOT

BUILDERS = ("trio_copy/engine/wiring.py", "trio_copy/engine/opening.py", "trio_copy/cli/run.py")


def patched(source: str) -> list[str]:
    """Return the attributes that code sets on what is not its own, in its words."""
    return [ast.unparse(target) for target in targets(ast.parse(source)) if not is_own(target)]


def targets(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                yield node
            case ast.Call(func=ast.Name(id="setattr" | "delattr")):
                yield node


def is_own(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"


@pytest.mark.parametrize("file", BUILDERS)
def test_no_object_is_patched_into_another_after_it_was_made(file: str) -> None:
    """What rooms need from each other is a room of its own, made before both and given to them."""
    assert patched(Path(ROOT / file).read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "watch.on_news = hear",
        "a.b.c += 1",
        "one, service.b = 1, 2",
        "x.y: int = 1",
        "setattr(gate, 'at', at)",
        "del a.b",
    ],
)
def test_each_way_to_patch_an_object_is_seen(source: str) -> None:
    """The check above would fail on any of them."""
    assert len(patched(source)) == 1


def test_what_an_object_sets_on_itself_is_its_own() -> None:
    """It is made, and goes on, as it says."""
    assert patched("self.lost = True; name = 1; known['a'] = 2") == []
