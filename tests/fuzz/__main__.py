"""`python -m tests.fuzz --minutes 1`: feeds spoiled frames to everything that reads them.

    --minutes N     how long
    --frames N      how many frames, instead
    --seed N        the frames of an earlier run
    --replay TEXT   one frame, as a failure prints it

It fails when anything but the allowed errors comes out, and when the memory grows after the tables are full. The last
line gives the figures; the exit code is 0 only when nothing failed.
"""

import argparse
import base64
import os
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.corpus import frames
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import Target, feed_session
from trio_copy.entropy import seeded_entropy

GROWTH_MIB = 64.0
"""What tables of 50,000 logs may still take after the first quarter; a leak of 100 bytes a frame shows in a long run."""
_LOOK_EVERY = 10_000
_SESSION_EVERY = 50_000
_SESSION_FRAMES = 300
_TOLD_EVERY_S = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--frames", type=int, default=None)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--replay", default=None)
    options = parser.parse_args()
    if options.replay is not None:
        return _replay(base64.b64decode(options.replay))
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    print(f"seed {seed}")
    return _Run(seed, options.frames, options.minutes).run()


def _replay(frame: bytes) -> int:
    Target().feed(frame)
    feed_session([frame], 0)
    print("nothing failed")
    return 0


class _Run:
    def __init__(self, seed: int, count: int | None, minutes: float) -> None:
        self._seed, self._count, self._seconds = seed, count, minutes * 60
        self._mutator = Mutator(frames(), seeded_entropy(seed))
        self._target = Target()
        self._began = self._told = time.monotonic()
        self._fed = 0
        self._sent: list[bytes] = []
        self._settled_mib: float | None = None
        self._most_mib = 0.0

    def run(self) -> int:
        while self._progress() < 1:
            for _ in range(_LOOK_EVERY):
                frame = self._mutator.next_frame()
                try:
                    self._target.feed(frame)
                except Exception:
                    return self._crashed([frame])
                if len(self._sent) < _SESSION_FRAMES:
                    self._sent.append(frame)
            self._fed += _LOOK_EVERY
            if self._fed % _SESSION_EVERY == 0:
                try:
                    self._target.counts["through a session"] += feed_session(self._sent, self._seed)
                except Exception:
                    return self._crashed(self._sent)
                self._sent = []
            if not self._look_at_memory():
                return 1
        self._tell("done")
        return 0

    def _progress(self) -> float:
        if self._count is not None:
            return self._fed / self._count
        return (time.monotonic() - self._began) / self._seconds

    def _look_at_memory(self) -> bool:
        mib = _resident_mib()
        self._most_mib = max(self._most_mib, mib)
        if time.monotonic() - self._told > _TOLD_EVERY_S:
            self._told = time.monotonic()
            self._tell("...")
        if self._settled_mib is None:
            if self._progress() > 0.25:
                self._settled_mib = mib
            return True
        if mib > self._settled_mib + GROWTH_MIB:
            print(f"memory grew from {self._settled_mib:.0f} to {mib:.0f} MiB in {self._fed} frames, seed {self._seed}")
            return False
        return True

    def _crashed(self, sent: list[bytes]) -> int:
        traceback.print_exc()
        print(
            f"crashed after {self._fed} frames of seed {self._seed}; if a frame alone does not, so many frames of it do"
        )
        for frame in sent:
            print(f"python -m tests.fuzz --replay {base64.b64encode(frame).decode()}")
        return 1

    def _tell(self, what: str) -> None:
        seconds = time.monotonic() - self._began
        counts = self._target.counts
        settled = self._settled_mib or self._most_mib
        print(
            f"{what} frames {self._fed} in {seconds:.0f} s, {self._fed / seconds:.0f}/s; logs {counts['log']}, "
            f"signals {counts['signals']}, blocks {counts['block']}, malformed {counts['MalformedFrame']}, "
            f"undecodable {counts['UndecodableLog']}, through a session {counts['through a session']}; "
            f"memory {settled:.0f} MiB, at most {self._most_mib:.0f} MiB",
            flush=True,
        )


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


if __name__ == "__main__":
    sys.exit(main())
