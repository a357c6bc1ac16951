"""On which line of a TOML text each key stands: `tomllib` reads it, and does not tell.

The text was read before, so it is valid; what is looked for is only where keys and headers begin, and where a value over
several lines ends. A key that is not found is told at the nearest table around it that is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]#]*)\]")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'""")
# What a value is made of, as far as its end is concerned: strings and comments, in which brackets mean nothing.
_TOKEN = re.compile(
    r"\"\"\"(?:[^\\]|\\.)*?\"{3,5}" r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'" r"|#[^\n]*|[\[\]{}\n]",
    re.DOTALL,
)
_INDEXED = re.compile(r"\b(endpoint|leader|follower|follow)\[\d+\]")


@frozen
class Places:
    """Where things stand in a configuration, and who its numbered tables are about."""

    lines: Mapping[str, int]
    """By path, such as follow[3].size.ratio."""
    names: Mapping[str, str]
    """Of numbered tables, such as follow[3]."""

    def located(self, file: object, problem: str) -> str:
        """Write a problem, which begins with a path, with the file, the line, and who its table is about."""
        path, colon, rest = problem.partition(": ")
        line = self._line(path)
        table = _INDEXED.match(path)
        who = self.names.get(table[0]) if table else None
        rest = _INDEXED.sub(lambda other: f"{other[0]} on line {self.lines.get(other[0], '?')}", rest)
        about = f" ({who})" if who and who.lower() not in rest.lower() else ""
        return f"{file}{'' if line is None else f':{line}'}: {path}{colon}{rest}{about}"

    def _line(self, path: str) -> int | None:
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None


NOWHERE = Places({}, {})


def places_in(text: str, table: Mapping[str, Any]) -> Places:
    """Find every key of a valid TOML text, and what the text calls its numbered tables by."""
    return Places(dict(_lines(text)), dict(_names(table)))


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Yield each path with its line; of equal ones the last counts, and there are none in a valid text."""
    counts: dict[str, int] = {}
    prefix, at, counted_to, line = "", 0, 0, 1
    while at < len(text):
        header, key = _HEADER.match(text, at), _KEY.match(text, at)
        found = header or key
        if found is None:
            at = _end_of_line(text, at)
            continue
        line += text.count("\n", counted_to, found.start(1))
        counted_to = found.start(1)
        if header:
            prefix = _table(_parts(header[2]), counts, many=header[1] == "[[")
            yield prefix, line
            at = _end_of_line(text, header.end())
        else:
            path = prefix
            for part in _parts(found[1]):
                path = f"{path}.{part}" if path else part
                yield path, line
            at = _end_of_value(text, found.end())


def _table(parts: list[str], counts: dict[str, int], *, many: bool) -> str:
    """Return the path of a header, with the numbers of the tables of lists that it stands in."""
    path = ""
    for number, part in enumerate(parts):
        path = f"{path}.{part}" if path else part
        if many and number == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = f"{path}[{counts[path]}]"
    return path


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _end_of_value(text: str, at: int) -> int:
    """Return where the line begins that follows a value; brackets that are open go on over the end of a line."""
    depth = 0
    while token := _TOKEN.search(text, at):
        at = token.end()
        match token[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "\n" if depth == 0:
                return at
    return len(text)


def _names(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for kind, write in (
        ("endpoint", "{name}"),
        ("leader", "{address}"),
        ("follower", "{id}"),
        ("follow", "{follower} copies {leader}"),
    ):
        rows = table.get(kind)
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            if isinstance(row, dict):
                wanted = re.findall(r"{(\w+)}", write)
                if all(isinstance(row.get(name), str) for name in wanted):
                    yield f"{kind}[{index}]", write.format(**{name: row[name] for name in wanted})
