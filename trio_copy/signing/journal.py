"""Which signed orders left this machine, by whatever process: a line each, in a file a day, on the disk before they leave.

Orders that leave at the same time share one sync. Processes that share a folder append to the same files under a
lock, and read what the others have written before they write. A file is forgotten when nothing in it can be asked for any
more, see `guard.OLDEST_S`.
"""

import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec
import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import ConfigError, OrderNotSent
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.units import Usd
from trio_copy.ports import InThread
from trio_copy.records import write_plain
from trio_copy.signing.folder import make_private_folder, sync_folder
from trio_copy.signing.gas import Gas, Nonce
from trio_copy.signing.guard import DAY_S, Signed

_KEPT_DAYS = 3
"""Files of so many days before today are kept: the guard asks back for 25 hours, and a clock may have been wrong."""
_LOOK_EVERY_S = 1.0
"""How often other processes' orders are looked for while none leaves here."""
_GAS = "gas"
"""In place of an intent's key: a line that tells what the gas of a nonce may cost. A version that knew of none takes it for the
nonce of an order that it never heard of, and goes on."""


class _Line(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    at: float
    maker: str
    key: str
    digest: str
    side: str
    """Of gas, SELL where it is an exit's, or does nothing; else BUY."""
    cost: int
    """In millionths of a dollar; of gas in wei."""
    nonce: str | None = None
    """Of what leaves by transaction alone: empty as it is let go, ACCOUNT/NUMBER once it is signed."""


_READ = msgspec.json.Decoder(_Line)


@define(eq=False)
class _Group:
    """Orders that become durable together."""

    signed: list[Signed | Gas] = field(factory=list)
    done: trio.Event = field(factory=trio.Event)


@define(eq=False, kw_only=True)
class Journal:
    """Written by one task; `add` may be called by any."""

    folder: Path
    wall: WallClock
    in_thread: InThread
    note: Callable[[Signed | Gas], bool]
    """Hears of every order, and of all gas, of other processes and earlier runs; False where it contradicts one of our own."""
    closed: str = ""
    """Why nothing can be remembered any more, so that nothing may be signed; empty while it can."""
    _open: _Group = field(factory=_Group)
    _writing: _Group | None = None
    _news: trio.Event = field(factory=trio.Event)
    _read_to: dict[Path, int] = field(factory=dict)

    async def load(self) -> None:
        """Read what left before, and forget what is too old. Raises `ConfigError` where it cannot be read: sign nothing."""
        today = _day(self.wall())
        try:
            for signed in await self.in_thread(lambda: self._read_all(today)):
                self.note(signed)
        except (OSError, ValueError) as error:
            raise ConfigError([_unreadable(self.folder, error)]) from None

    def add(self, signed: Signed | Gas) -> None:
        """Let an order that leaves be written down, or what its gas may cost."""
        self._open.signed.append(signed)
        self._news.set()

    async def wait_durable(self) -> None:
        """Wait until everything that was added is on the disk. Raises `OrderNotSent` where it cannot be."""
        group = self._open if self._open.signed else self._writing
        if group is None or self.closed:
            await trio.lowlevel.checkpoint()
        else:
            await group.done.wait()
        if self.closed:
            raise OrderNotSent(self.closed)

    async def run_writer(self) -> NoReturn:
        """Write until cancelled; what was added before is written first: else the next process would not know it."""
        try:
            while True:
                with trio.move_on_after(_LOOK_EVERY_S):
                    await self._news.wait()
                self._news = trio.Event()
                with trio.CancelScope(shield=True):
                    await self._write()
        finally:
            if self._open.signed:
                with trio.CancelScope(shield=True):
                    await self._write()

    async def _write(self) -> None:
        self._writing, self._open = self._open, _Group()
        group, today = self._writing, _day(self.wall())
        try:
            # Once closed nothing leaves, and a line that contradicts another process's would close that one's journal too.
            ours = () if self.closed else group.signed
            others = await self.in_thread(lambda: self._append(ours, today))
            for signed in others:
                if not self.note(signed) and not self.closed:
                    self.closed = f"another process sent another body for the intent {signed.key}: two engines disagree"
        except (OSError, ValueError) as error:
            self.closed = self.closed or _unreadable(self.folder, error)
        self._writing = None
        group.done.set()

    def _read_all(self, today: int) -> list[Signed | Gas]:
        make_private_folder(self.folder)
        self._forget_old(today)
        return self._news_of_others()

    def _append(self, ours: Sequence[Signed | Gas], today: int) -> list[Signed | Gas]:
        """Append orders durably; returns what others have appended meanwhile. Raises `OSError` and `ValueError`.

        Where those contradict, nothing is appended: whoever comes second has sent nothing, and the first goes on.
        """
        if not ours:
            return self._news_of_others()
        written = b"".join(map(_line_of, ours))
        path = self.folder / _name_of(today)
        is_new = not path.exists()
        number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            others = self._news_of_others()
            bodies = {(one.maker, one.key): one.digest for one in ours if isinstance(one, Signed)}
            theirs = [one for one in others if isinstance(one, Signed)]
            if any(bodies.get((one.maker, one.key), one.digest) != one.digest for one in theirs):
                return others
            # What has no end was being written when its process died: its order never left.
            os.ftruncate(file.fileno(), self._read_to.get(path, 0))
            remains = memoryview(written)
            while remains:
                remains = remains[file.write(remains) or 0 :]
            os.fdatasync(file.fileno())
            self._read_to[path] = self._read_to.get(path, 0) + len(written)
        if is_new:
            sync_folder(self.folder)
            self._forget_old(today)
        return others

    def _news_of_others(self) -> list[Signed | Gas]:
        """Return what was appended since the last call: first what was let go, oldest first, then under which nonces, and gas."""
        found: list[Signed | Gas] = []
        for path in self._files():
            begin = self._read_to.get(path, 0)
            with suppress(FileNotFoundError):  # another process may just have forgotten an old one
                if path.stat().st_size <= begin:
                    continue
                with path.open("rb") as file:
                    file.seek(begin)
                    for line in file:
                        if line.endswith(b"\n"):
                            found.append(_signed_of(path, line))
                            begin += len(line)
                self._read_to[path] = begin
        # A nonce is of what was let go, also where the clock was put back in between.
        return sorted(found, key=lambda one: (one.nonce is not None, one.at))

    def _forget_old(self, today: int) -> None:
        for path in self._files():
            if path.name < _name_of(today - _KEPT_DAYS):
                path.unlink(missing_ok=True)
                self._read_to.pop(path, None)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("signed-????????.jsonl"))


def _day(at: float) -> int:
    return int(at // DAY_S)


def _name_of(day: int) -> str:
    return f"signed-{day:08}.jsonl"


def _line_of(signed: Signed | Gas) -> bytes:
    if isinstance(signed, Gas):
        side = Side.SELL if signed.is_exit else Side.BUY
        return (
            write_plain([signed.at, signed.maker, _GAS, "", side._value_, signed.wei, _plain_nonce(signed.nonce)])
            + b"\n"
        )
    plain = [signed.at, signed.maker, signed.key, signed.digest.hex(), signed.side._value_, signed.max_cost.micro]
    if signed.by_transaction:
        plain.append("" if signed.nonce is None else _plain_nonce(signed.nonce))
    return write_plain(plain) + b"\n"


def _signed_of(path: Path, line: bytes) -> Signed | Gas:
    try:
        read = _READ.decode(line)
        if read.key == _GAS:
            return Gas(
                at=read.at,
                maker=Address(read.maker),
                nonce=_nonce_of(read.nonce or ""),
                wei=read.cost,
                is_exit=Side(read.side) is Side.SELL,
            )
        return Signed(
            at=read.at,
            maker=Address(read.maker),
            key=IntentKey(read.key),
            digest=bytes.fromhex(read.digest),
            side=Side(read.side),
            max_cost=Usd(read.cost),
            by_transaction=read.nonce is not None,
            nonce=_nonce_of(read.nonce) if read.nonce else None,
        )
    except ValueError:
        shown = line[:80].decode(errors="replace")
        raise ValueError(f"{path.name}: expected a line as it was written here, got {shown!r}") from None


def _plain_nonce(nonce: Nonce) -> str:
    return f"{nonce.account}/{nonce.number}"


def _nonce_of(text: str) -> Nonce:
    account, _, number = text.partition("/")
    return Nonce(Address(account), int(number))


def _unreadable(folder: Path, error: Exception) -> str:
    told = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return f"signing.folder: what was signed cannot be remembered in {folder}, so nothing is signed: {told}"
