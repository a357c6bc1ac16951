"""Logs are decoded in every form in which people have them; bad lines are counted, and no JSON is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trio_copy.cli import main

Capture = pytest.CaptureFixture[str]


def test_decode_reads_every_form(tmp_path: Path, capsys: Capture, load_data: Callable[[str], Any]) -> None:
    """An array, lines, a receipt and an RPC answer give the same fills; the rest is counted."""
    logs = [event["log"] for event in load_data("polygon_events.json")["events"]]
    forms = {
        "array": json.dumps(logs),
        "lines": "\n".join(json.dumps(log) for log in logs),
        "receipt": json.dumps({"status": "0x1", "logs": logs}),
        "rpc": json.dumps({"jsonrpc": "2.0", "id": 1, "result": logs}),
    }
    answers = set()
    for name, text in forms.items():
        path = tmp_path / name
        path.write_text(text)
        assert main(["decode", str(path)]) == 0
        output = capsys.readouterr()
        answers.add(output.out)
        assert (
            "12 fills; logs that are no fills: 13 (3 exchange, 8 other-event, 2 split); dropped: 0 (none)" in output.err
        )
    (answer,) = answers
    first = json.loads(answer.splitlines()[0])
    assert list(first) == [
        "chain_id",
        "exchange",
        "owner",
        "role",
        "kind",
        "side",
        "token_id",
        "shares",
        "price",
        "notional",
        "fee",
        "order_hash",
        "tx_hash",
        "log_index",
        "signal_id",
    ]
    assert (first["shares"], first["price"], first["notional"], first["fee"]) == (
        9451729165,
        "0.48",
        4536829999,
        117957570,
    )


def test_decode_survives_bad_lines_and_refuses_no_json(tmp_path: Path, capsys: Capture) -> None:
    """One broken line among many is counted; a file without any JSON is bad input."""
    path = tmp_path / "logs"
    path.write_text('{"address": "0x1"}\nnot json\n[1, null]\n')
    assert main(["decode", str(path)]) == 0
    assert (
        "0 fills; logs that are no fills: 0 (none); dropped: 4 (3 malformed, 1 malformed-log)"
        in capsys.readouterr().err
    )
    path.write_text("hello")
    assert main(["decode", str(path)]) == 2
    assert "expected JSON" in capsys.readouterr().err
