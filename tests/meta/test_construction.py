"""What is put together is put together once: nobody reaches into an object after it was made."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.meta.test_repository import ROOT

BUILDERS = (
    "trio_copy/engine/opening.py",
    "trio_copy/cli/running.py",
    *sorted(str(file.relative_to(ROOT)) for file in (ROOT / "trio_copy/engine/wiring").glob("*.py")),
)
ALLOWED = {
    "session": "a connection comes and goes while its endpoint stays: whoever holds it puts it there, and takes it away",
    "pulses": "of that connection: how it answers, for the watchdogs to read",
}
"""Attributes that others set although they hold something that acts, and why that is no wiring."""


def test_no_object_is_patched_into_another_after_it_was_made() -> None:
    """What rooms need from each other is a room of its own, made before both and given to them.

    A count or a word that one sets on another is state. A function, or an object that acts, is a part: those are handed over
    where the other is made.
    """
    declared = Declared.of(trees().values())
    found = [f"{file}: {place}" for file, tree in trees().items() for place in declared.patches(tree)]
    assert [place for place in found if place.rsplit(".", 1)[1] not in ALLOWED] == []
    assert {place.rsplit(".", 1)[1] for place in found} == set(ALLOWED), "what is allowed is needed"


@pytest.mark.parametrize("file", BUILDERS)
def test_who_puts_rooms_together_sets_nothing_on_them(file: str) -> None:
    """There not even state: what a room begins with is given to it."""
    assert [ast.unparse(target) for target in targets(trees()[file]) if not is_own(target)] == []


_ROOMS = """
@define(eq=False)
class Gate:
    ready: bool = False
    hear: Callable[[], None] = field(init=False)
    other: "Room | None" = None
    told: Callable[[], None]

class Line:
    told: int

class Room(Protocol): ...
"""


@pytest.mark.parametrize(
    "source",
    [
        "gate.hear = whatever()",
        "gate.other = room",
        "a.b.hear = 1",
        "one, service.other = 1, 2",
        "x.other: int = 1",
        "setattr(gate, 'told', listen)\ndef listen(): ...",
        "del a.hear",
        "x.anything = lambda: None",
        "class A:\n    def start(self): x.anything = self",
        "class A:\n    def start(self): x.anything = self.stop\n    def stop(self): ...",
        "def listen(): ...\nline.told = listen",
        "x.a, x.told = 1, listen\ndef listen(): ...",
    ],
)
def test_each_way_to_patch_an_object_is_seen(source: str) -> None:
    """The checks above would fail on any of them."""
    tree = ast.parse(source)
    assert len(list(Declared.of([ast.parse(_ROOMS), tree]).patches(tree))) == 1


@pytest.mark.parametrize("source", ["line.told = 3", "gate.ready = True", "x.count += 1", "x.at = wall()", "x.a = y.b"])
def test_state_is_no_part(source: str) -> None:
    """A name that stands for a function in one class and for a figure in another is judged by what is set."""
    tree = ast.parse(source)
    assert not list(Declared.of([ast.parse(_ROOMS), tree]).patches(tree))


def test_what_an_object_sets_on_itself_is_its_own() -> None:
    """It is made, and goes on, as it says."""
    tree = ast.parse("self.hear = hear; name = 1; known['a'] = 2")
    assert not list(Declared.of([ast.parse(_ROOMS), tree]).patches(tree))


@cache
def trees() -> dict[str, ast.Module]:
    files = [file for room in ("trio_copy", "plugins") for file in sorted((ROOT / room).rglob("*.py"))]
    return {str(file.relative_to(ROOT)): ast.parse(Path(file).read_text()) for file in files}


class Declared:
    """What the classes of a program say that they hold, and what it can call."""

    def __init__(self) -> None:
        self.parts: dict[str, set[bool]] = defaultdict(set)
        """Of each attribute whether it holds something that acts, by any class that has one of this name."""
        self.functions: set[str] = set()

    @classmethod
    def of(cls, sources: Iterable[ast.Module]) -> "Declared":
        declared, fields, acting, properties = cls(), list[tuple[str, ast.expr]](), {"Callable"}, set[str]()
        for node in (node for source in sources for node in ast.walk(source)):
            match node:
                case ast.ClassDef(name=name):
                    if acts(node):
                        acting.add(name)
                    fields += [
                        (_name(one.target), one.annotation) for one in node.body if isinstance(one, ast.AnnAssign)
                    ]
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    properties_ = any("property" in ast.unparse(one) for one in node.decorator_list)
                    (properties if properties_ else declared.functions).add(name)
        for name, annotation in fields:
            declared.parts[name].add(bool(words(annotation) & acting))
        declared.functions -= properties | declared.parts.keys()
        return declared

    def patches(self, tree: ast.Module) -> Iterator[str]:
        """Name the parts that code sets on what is not its own, in its words."""
        values = dict(assigned(tree))
        for target in targets(tree):
            if is_own(target):
                continue
            match target:
                case ast.Attribute(attr=name):
                    words_ = ast.unparse(target)
                case ast.Call(args=[of, ast.Constant(value=str(name)), *_]):
                    words_ = f"{ast.unparse(of)}.{name}"
                case _:
                    continue  # by a name that is worked out: the fields of a record, one after the other
            value = values.get(target)
            if self.parts.get(name) == {True} or (value is not None and self.is_part(value)):
                yield words_

    def is_part(self, value: ast.expr) -> bool:
        match value:
            case ast.Lambda() | ast.Name(id="self"):
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name in self.functions
        return False


def acts(node: ast.ClassDef) -> bool:
    """Tell whether what a class makes is somebody, and no value: it has an identity, or is known by what it does."""
    made = " ".join(map(ast.unparse, [*node.decorator_list, *node.bases]))
    return "eq=False" in made or "Protocol" in made or "ABC" in made


def words(annotation: ast.expr) -> set[str]:
    """Return the names in an annotation; one in quotes is one as well."""
    found = set[str]()
    for node in ast.walk(annotation):
        match node:
            case ast.Name(id=name):
                found.add(name)
            case ast.Constant(value=str(text)):
                found |= words(ast.parse(text, mode="eval").body)
    return found


def _name(target: ast.expr) -> str:
    return target.id if isinstance(target, ast.Name) else ""


def targets(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                yield node
            case ast.Call(func=ast.Name(id="setattr" | "delattr")):
                yield node


def assigned(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield what is set, with what it is set to, where that can be read."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=many, value=value):
                for target in many:
                    yield from _pairs(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield target, value
            case ast.Call(func=ast.Name(id="setattr"), args=[_, _, value]):
                yield node, value


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    match target, value:
        case ast.Tuple(elts=ones), ast.Tuple(elts=others) if len(ones) == len(others):
            for one, other in zip(ones, others, strict=True):
                yield from _pairs(one, other)
        case _:
            yield target, value


def is_own(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
