"""A recording of a real run, replayed in virtual time: the same figures, each time."""

import gzip
import json
from pathlib import Path

import pytest

from tests.builders import POLYGON, hash_of
from trio_copy.chain.feed import Armed
from trio_copy.cli import main
from trio_copy.engine.recordings.recorded_lines import header_line, line_of
from trio_copy.model.logs import BlockRef
from trio_copy.records import encode

CONF = """
[chain]
chain_id = 137
[devnet]
seed = 7
block_every_s = 0.2
fills_per_block = 1.4
reorg_at_block = 4
drop_at_block = 7
[store.memory]
[executor.dry-run]
latency_ms = 5
latency_jitter_ms = 0
[decoder.order-filled]
[[follower]]
id = "alice"
executor = "dry-run"
[[follow]]
follower = "alice"
leader = "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d"
[follow.size]
minimum_policy = "raise"
"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "conf.toml"
    path.write_text(CONF)
    return path


def test_a_replay_repeats_the_run_and_itself(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """What the engine did on a live market, it does again on the recording; twice the same digest."""
    file = tmp_path / "market.rec"
    assert main(["record", str(file), "--conf", str(conf), "--for", "3s", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    summary = events[-1]
    assert summary["tasks"] > 3
    assert any(event["event"] == "step" and event["step"] == "recording" for event in events)
    replays = []
    for _ in range(2):
        assert main(["replay", str(file), "--conf", str(conf), "--json"]) == 0
        replays.append(json.loads(capsys.readouterr().out))
    assert replays[0] == replays[1]
    for figure in ("signals", "adopted", "retracted", "tasks", "ends", "bought", "sold"):
        assert summary[figure] == replays[0][figure], figure
    assert main(["replay", str(file), "--conf", str(conf)]) == 0
    told = capsys.readouterr().out
    assert replays[0]["digest"] in told
    assert " seconds from " in told.splitlines()[0]


def test_a_configuration_with_shards_can_be_replayed(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """Nobody shares what a replay keeps in memory; the follows of a server that is away are left out, and that is said."""
    file = tmp_path / "market.rec"
    sealed = encode(BlockRef(number=1, hash=hash_of(1), parent=hash_of(0), time=1))
    header = b'{"recording": 1, "chain_id": 137, "at": 1.0}\n'
    file.write_bytes(gzip.compress(header + b'{"at": 2.0, "sealed": %b}\n' % sealed.encode() * 2))
    shared = '[shards]\ncount = 4\n[store.redis]\nurl = "redis://127.0.0.1:1"\npatience_s = 0'
    conf.write_text(CONF.replace("[store.memory]", shared))

    assert main(["replay", str(file), "--conf", str(conf), "--json"]) == 0
    said = capsys.readouterr()
    assert "the follows in the store are left out: " in said.err
    assert json.loads(said.out)["tasks"] == 0


def test_a_recording_that_was_cut_off_ends_where_it_was_cut(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """A killed recorder costs its last second; a second run in the same file is read behind the first."""
    file = tmp_path / "market.rec"
    for _ in range(2):
        assert main(["record", str(file), "--conf", str(conf), "--for", "1s"]) == 0
    whole = file.read_bytes()
    assert gzip.decompress(whole).count(b'"recording"') == 2
    file.write_bytes(whole[:-200])
    capsys.readouterr()
    assert main(["replay", str(file), "--conf", str(conf), "--json", "--speed", "1000"]) == 0
    assert json.loads(capsys.readouterr().out)["signals"] >= 0


def test_a_configuration_of_many_instances_is_played_by_one(
    conf: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a store that is shared needs says nothing about the past."""
    monkeypatch.setattr("trio_copy.cli.recorded.follows_of_store", lambda plan: ())
    file = tmp_path / "market.rec"
    block = BlockRef(number=1, hash=hash_of(1), parent=hash_of(0), time=1)
    file.write_bytes(gzip.compress(b"%s\n%s\n" % (header_line(POLYGON, 1.0), line_of(Armed(block), 1.0))))
    shared = CONF.replace("[store.memory]", '[shards]\ncount = 4\n[store.redis]\nurl = "redis://127.0.0.1:1"')
    conf.write_text(shared)
    capsys.readouterr()
    assert main(["replay", str(file), "--conf", str(conf), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signals"] == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not gzip", "a file without a line of one"),
        (gzip.compress(b""), "a file without a line of one"),
        (gzip.compress(b'{"hello": 1}\n'), "expected a recording of version 1"),
        (
            gzip.compress(b'{"recording": 1, "chain_id": 5, "at": 1.0}\n{"at": 1.0}\n'),
            "expected a recording of chain 137",
        ),
        (
            gzip.compress(b'{"recording": 1, "chain_id": 137, "at": 1.0}\n{"at": 1.0}\n'),
            ":2: not a line of a recording",
        ),
    ],
    ids=["no gzip", "empty", "of another version", "of another chain", "a line that is none"],
)
def test_what_is_no_recording_is_refused(
    conf: Path, tmp_path: Path, capsys: Capture, content: bytes, says: str
) -> None:
    """Garbage, an empty file, another format, another chain: one clear line each."""
    file = tmp_path / "bad.rec"
    file.write_bytes(content)
    assert main(["replay", str(file), "--conf", str(conf)]) == 2
    assert says in capsys.readouterr().err
