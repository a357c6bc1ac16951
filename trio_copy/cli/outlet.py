"""The way out of the process: standard output and error pass here, so that no writer has to remember the redaction."""

from typing import TextIO

from attrs import define

from trio_copy.telemetry.redaction import Redactor


@define(eq=False)
class Outlet:
    """A text stream that redacts whole lines, however they are cut into writes."""

    stream: TextIO
    redactor: Redactor
    _begun: str = ""

    def write(self, text: str) -> int:
        """Write the lines that are complete; the rest waits for its end, or for `flush`."""
        lines, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            self.stream.write("".join(map(self.redactor.redact_line, (lines + newline).splitlines(keepends=True))))
        return len(text)

    def write_bare(self, text: str) -> None:
        """Write past the redactor: secrets that whoever asked for them has handed in himself, and wants back in another form."""
        self.flush()
        self.stream.write(text)

    def flush(self) -> None:
        """Write what has no end yet as well."""
        begun, self._begun = self._begun, ""
        if begun:
            self.stream.write(self.redactor.redact_line(begun))
        self.stream.flush()

    def __getattr__(self, name: str) -> object:
        """Be the stream in everything else: whether it is a terminal, how wide, in which encoding."""
        return getattr(self.stream, name)
