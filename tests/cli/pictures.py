"""Reads a PNG as any program does."""

import struct
import zlib

from attrs import frozen


@frozen
class Picture:
    """A PNG, read."""

    width: int
    height: int
    palette: bytes
    rows: bytes

    @classmethod
    def of(cls, png: bytes) -> "Picture":
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        chunks, at = dict[bytes, bytes](), 8
        while at < len(png):
            size, kind = struct.unpack_from(">I4s", png, at)
            data = png[at + 8 : at + 8 + size]
            assert struct.unpack_from(">I", png, at + 8 + size) == (zlib.crc32(kind + data),)
            chunks[kind], at = data, at + 12 + size
        assert [*chunks] == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
        width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        assert form == [8, 3, 0, 0, 0]
        rows = zlib.decompress(chunks[b"IDAT"])
        assert len(rows) == height * (width + 1)
        return cls(width, height, chunks[b"PLTE"], rows)

    def at(self, x: int, y: int) -> str:
        number = self.rows[y * (self.width + 1) + 1 + x]
        return f"#{self.palette[3 * number : 3 * number + 3].hex()}"
