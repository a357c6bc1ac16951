"""How many copies, how fast: a simulated load loses nothing, and says where it was not kept up with."""

from pathlib import Path

import pytest

from tests.cli.processes import last_json
from trio_copy.cli import main
from trio_copy.cli.simulation import Load, missed

Capture = pytest.CaptureFixture[str]


def test_load_model_and_measure(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of the load model, and instances only from a capacity that was measured here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    _, before = last_json(capsys, "load", "model")
    assert tuple(
        before[key]
        for key in (
            "copies_per_day",
            "copies_per_s",
            "followers_per_leader",
            "leader_trades_per_s",
            "original_instances",
            "original_instances_with_headroom",
        )
    ) == (50_000_000, 578.7, 100, 5.787, 28.94, 58)
    assert before["instances"] is None
    code, measured = last_json(capsys, "load", "measure", "--events", "5")
    assert (code, measured["tasks"], measured["lost"]) == (0, 500, 0)
    _, after = last_json(capsys, "load", "model", "--users", "20000")
    assert after["copies_per_day"] == 100_000_000
    assert after["instances"] >= 1
    assert after["measured_on"] == measured["date"]


def test_load_simulate_loses_nothing(capsys: Capture) -> None:
    """A short run over a real socket, and the users' shape in virtual time."""
    code, found = last_json(capsys, "load", "simulate", "--events", "20", "--rate", "100", "--followers", "10")
    assert (found["tasks"], found["lost"], found["duplicates"]) == (200, 0, 0)
    # A machine that is busy with something else misses the rate, and is told so.
    assert code == (1 if found["missed"] else 0)
    words = [
        "load",
        "simulate",
        "--users",
        "200",
        "--leaders",
        "20",
        "--duration",
        "30s",
        "--copies",
        "50000",
        "--virtual",
    ]
    code, found = last_json(capsys, *words)
    assert (code, found["lost"], found["missed"]) == (0, 0, None)
    assert found["tasks"] > 1000


@pytest.mark.parametrize(
    ("words", "missed"),
    [
        (["--workers", "8", "--latency", "100ms"], ""),
        (
            ["--workers", "2", "--latency", "100ms"],
            "the last one ended 3.0 s after the last trade was due, 0.6 s are allowed",
        ),
        (
            ["--store-option", "facts_max=1000", "--workers", "8", "--latency", "1s"],
            "80 copies a second were offered, 8 were made",
        ),
    ],
)
def test_load_simulate_says_that_the_offered_rate_was_missed(capsys: Capture, words: list[str], missed: str) -> None:
    """In words, and with exit code 1; nothing needs to be lost for that."""
    shape = ["load", "simulate", "--virtual", "--events", "20", "--rate", "20", "--followers", "4", *words]
    assert main(shape) == bool(missed)
    said = capsys.readouterr().out

    assert ("THE OFFERED RATE WAS MISSED" in said) == bool(missed)
    assert missed in said
    assert "lost                               0" in said
    code, found = last_json(capsys, *shape)
    assert (code, found["lost"]) == (bool(missed), 0)
    assert missed in (found["missed"] or "")


@pytest.mark.parametrize(
    ("rate", "offered_s", "elapsed_s", "shed", "says"),
    [
        (0.0, 9.0, 90.0, 7, None),
        (100.0, 9.99, 10.4, 0, None),
        (100.0, 9.99, 10.6, 0, "the last one ended 0.6 s after"),
        (1.0, 999.0, 1048.0, 0, None),
        (1.0, 999.0, 1050.0, 0, "50.0 s are allowed"),
        (100.0, 9.99, 10.0, 3, "3 of 4,000 were shed"),
        (100.0, 12.0, 12.1, 0, "the trades themselves came late"),
    ],
)
def test_a_load_is_kept_up_with_or_missed(
    rate: float, offered_s: float, elapsed_s: float, shed: int, says: str | None
) -> None:
    """A moment is allowed, and a twentieth of a long run; what is shed was not made, and a late offer is one too."""
    load = Load(events=1000, rate_per_s=rate, leaders=(), seed=1)
    said = missed(load, 4000, offered_s=offered_s, elapsed_s=elapsed_s, shed=shed)

    assert (said is None) == (says is None)
    assert (says or "") in (said or "")
