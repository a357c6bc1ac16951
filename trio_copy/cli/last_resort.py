"""The second signal ends the process, also when a plugin does not let go of it.

A second signal cancels everything, and then what was sent is completed and recorded. A plugin can prevent that: it
swallows the cancellation, or computes for ever, so that the loop does not even hear of the signal. So signals are counted
where Python delivers them, between two instructions of whatever runs, and the second one starts a thread that ends
the process after a grace; a third one spares the grace. No write of the store is cut off by it. An order that may
have been sent was written down before: the next start asks the venue about it.
"""

import os
import signal
import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from attrs import define, field

from trio_copy.ports import InThread

_EXIT_INTERRUPTED = 130
_WRITES_S = 10.0
"""How long a write under way is waited for: a disk that takes longer is gone."""
_STDERR = 2


@define(eq=False, kw_only=True)
class LastResort:
    grace_s: float
    """Longer than a send may take, and what is written down of it."""
    under_way: Callable[[], Collection[str]]
    """Names the calls into plugins that are under way."""
    leave: Callable[[int], Any] = os._exit
    _signals: int = 0
    _hurry: threading.Event = field(factory=threading.Event)
    _writes: int = 0
    _idle: threading.Condition = field(factory=threading.Condition)

    @contextmanager
    def counting(self, numbers: Collection[signal.Signals]) -> Generator[None, None, None]:
        """Count signals on their way to the handlers that are installed by now. Main thread only."""
        theirs = {number: signal.getsignal(number) for number in numbers}

        def hear(number: int, frame: FrameType | None) -> None:
            self.note_signal()
            handler = theirs[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number in theirs:
            signal.signal(number, hear)
        try:
            yield
        finally:
            for number, handler in theirs.items():
                signal.signal(number, handler)

    def note_signal(self) -> None:
        """Count a signal; the second one starts what ends the process."""
        self._signals += 1
        if self._signals == 2:
            threading.Thread(target=self._end, name="last resort", daemon=True).start()
        elif self._signals > 2:
            self._hurry.set()

    def watched(self, in_thread: InThread) -> InThread:
        """Let it be known while something runs in a store's thread."""

        async def run_watched(run: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever it returns
            return await in_thread(lambda: self._write(run))

        return run_watched

    def _write(self, run: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever it returns
        with self._idle:
            self._writes += 1
        try:
            return run()
        finally:
            with self._idle:
                self._writes -= 1
                self._idle.notify_all()

    def _end(self) -> None:
        self._hurry.wait(self.grace_s)
        with self._idle:
            # From here on none begins either: it would need the lock.
            self._idle.wait_for(lambda: not self._writes, _WRITES_S)
            calls = ", ".join(self.under_way()) or "no call into a plugin"
            line = f"trio-copy: ended by the second signal; still under way: {calls}. What was sent is written down.\n"
            with suppress(OSError):  # nobody may read it, and then it must not be waited for
                os.set_blocking(_STDERR, False)
                os.write(_STDERR, line.encode())
            self.leave(_EXIT_INTERRUPTED)
