"""The fuzzer runs, is the same for a seed, and notices what it is there to notice."""

import base64

import msgspec
import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz.corpus import frames
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import Target, feed_session
from trio_copy.chain import rpc
from trio_copy.entropy import seeded_entropy


def test_the_corpus_is_read_to_the_end() -> None:
    """Frames that are all refused at the door would try nothing behind it."""
    target = Target()
    for frame in frames():
        target.feed(frame)

    assert target.counts["signals"] > 50
    assert target.counts["block"] >= 4
    assert target.counts["log"] > 200
    assert target.counts["ErrorReply"] >= 1
    assert feed_session(frames(), 1) > 100


def test_a_seed_gives_the_same_frames() -> None:
    """A failure can be found again; and most frames differ from their neighbours."""
    ones, others = (Mutator(frames(), seeded_entropy(7)) for _ in range(2))
    made = [ones.next_frame() for _ in range(500)]

    assert made == [others.next_frame() for _ in range(500)]
    assert len(set(made)) > 350


@pytest.mark.parametrize("seed", range(3))
def test_some_thousand_frames_pass(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A short run on every change; the long ones are made by hand."""
    mutator, target = Mutator(frames(), seeded_entropy(seed)), Target()
    for _ in range(3000):
        target.feed(mutator.next_frame())

    assert target.counts["MalformedFrame"] > 300
    assert target.counts["UndecodableLog"] > 100
    assert target.counts["signals"] > 100


def test_a_guard_that_is_missing_is_noticed_and_can_be_replayed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one kind of error forgotten, the fuzzer fails and prints the frame, which fails alone and passes when all is well."""
    monkeypatch.setattr(rpc, "_BAD_JSON", (ValueError,))
    run = ["fuzz", "--frames", "20000", "--seed", "1"]
    monkeypatch.setattr("sys.argv", run)
    assert fuzz.main() == 1
    frame = capsys.readouterr().out.split("--replay ")[1].split()[0]
    assert base64.b64decode(frame)

    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", frame])
    with pytest.raises((RecursionError, msgspec.MsgspecError)):
        fuzz.main()
    monkeypatch.undo()
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", frame])
    assert fuzz.main() == 0


def test_memory_that_grows_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A table without a bound fails the run, whatever the frames were."""
    grown = iter(range(100, 10_000, 50))
    monkeypatch.setattr(fuzz, "_resident_mib", lambda: float(next(grown)))
    monkeypatch.setattr(fuzz, "_LOOK_EVERY", 100)
    monkeypatch.setattr("sys.argv", ["fuzz", "--frames", "2000", "--seed", "1"])

    assert fuzz.main() == 1
    assert "memory grew from" in capsys.readouterr().out
