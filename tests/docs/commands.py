"""Every command line that README and docs show, and what a test does with each. A new one in a text needs a row here."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
TEXTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"(?:^|\s)(trio-copy [^#>]*)")
_INLINE = re.compile(r"`(trio-copy [^`]*)`")

RUN = {
    # Try it
    "run conf/demo.toml": 0,
    # Paper trading on mainnet
    "check conf/paper.toml": 0,
    "selftest conf/paper.toml": 0,
    # Follows and books: $TRIO_COPY_CONF is conf/prod.toml
    "follow add main 0xa697d0b3FFf7D285a0F92d6Ee03a7f97809E59d5 size.ratio=0.02 caps.max_day_usd=200": 0,
    "follow list": 0,
    "follow set --all caps.max_day_usd=100 --yes": 0,
    "explain follow main:0xa697d0b3fff7d285a0f92d6ee03a7f97809e59d5": 0,
    "positions": 0,
    "pnl --by leader": 0,
    "leaders": 0,
    "trades": 0,
    "exit --leader 0xa697d0b3FFf7D285a0F92d6Ee03a7f97809E59d5": 1,  # whoever is asked here says no
    "skips": 0,
    "fidelity": 0,
    "export trades trades.csv": 0,
    "explain trade 57efd6": 0,
    "status": 1,  # nobody lives
    "record demo.rec --conf conf/books.toml --for 20s": 0,
    "pnl --conf conf/books.toml": 0,
    "replay demo.rec --conf conf/books.toml": 0,
    # The past
    "backtest conf/paper.toml week.rec": 0,
    "leaders week.rec": 0,
    "leaders --conf conf/prod.toml": 0,
    "leaders week.rec --latency 2s --slippage-bps 50 --fee-bps 0 --stake 10": 0,
    # Check it yourself
    "selftest": 0,
    "verify dedup": 0,
    "verify backpressure --count 5200": 0,
    "load model": 0,
    "decode receipt.json": 0,
    "plugins": 0,
    # docs/money.md: $TRIO_COPY_CONF is conf/books.toml
    "follow add alice 0xa697d0b3FFf7D285a0F92d6Ee03a7f97809E59d5 size.ratio=0.05 caps.max_day_usd=200": 0,
    "follow set alice:0xa697d0b3fff7d285a0f92d6ee03a7f97809e59d5 status=paused": 0,
    "follow set alice:0xa697d0b3fff7d285a0f92d6ee03a7f97809e59d5 size.ratio=": 0,
    "follow import follows.csv": 0,
    "follow export follows.csv": 0,
    "follow import follows.jsonl": 0,
}
"""What is run, in this order, in a folder as the texts have it; and its exit code."""
PARSED = {
    "run conf/demo-clob.toml": "takes a second longer; tests/cli/test_play_money.py plays it",
    "run conf/demo-onchain.toml": "needs npm, and seconds; tests/e2e/test_demo_onchain.py runs it",
    "run conf/demo-onchain.toml --for 30s": "as above",
    "run conf/paper.toml": "follows real nodes",
    "fetch week.rec --leader 0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d --since 7d --url wss://polygon.drpc.org": (
        "reads from a real node; tests/cli/test_past.py has one of its own"
    ),
    "devnet conf/paper.toml --past 7d": "runs until Ctrl-C; tests/docs/test_week.py has one",
    "fetch week.rec --conf conf/paper.toml --since 7d --url ws://127.0.0.1:8545": "needs that devnet",
    "backtest conf/paper.toml week.rec --set size.ratio=0.02,0.05": "starts processes, as tests/cli/test_past.py does",
    "backtest conf/paper.toml week.rec --set size.ratio=0.02,0.05 --set filters.price_max=0.8,0.95": "as above",
    "leaders --source polymarket --top 20 --since 7d": "asks the venue; tests/cli/test_leaderboard.py has one of its own",
    "devnet conf/shards.toml": "runs until Ctrl-C",
    "run conf/shards.toml": "needs the devnet and a Redis server; tests/redis has both",
    "doctor": "needs a live wallet, a node and the venue; tests/cli/test_doctor.py has all of them",
    "doctor --wallet hot --json": "as above",
    "fleet status": "needs a node; tests/cli/test_fleet.py has one",
    "fleet refuel": "as above",
    "wallet approve hot": "needs a live wallet whose executor acts; tests/cli/test_wallet_acts.py has one",
    "wallet approve hot --usd 200": "as above",
    "wallet redeem hot --all": "as above",
    "wallet split hot CONDITION --usd 20": "as above",
    "wallet merge hot CONDITION --usd 20": "as above",
    "wallet settle hot TOKEN --payout 1": "a live wallet that holds it: cli/test_wallet_settle",
    "arm": "needs a live wallet; tests/cli/test_arm.py has one",
    "arm hot": "as above",
    "arm hot --for 8h --yes": "as above",
    "arm hot --for 8h": "as above",
    "check": "checks the configuration of whoever reads it",
    "gas": "shows what transactions have cost; tests/cli/test_books.py has some",
    "run my.toml --live": "needs a live wallet and a chain",
    "run conf/prod.toml --live": "as above",
    "clob sign orders.jsonl --key-file key.hex": "needs a key; tests/cli/test_clob.py has one",
    "clob headers requests.jsonl --key-file key.hex": "as above",
    "clob prepare intents.jsonl --key-file key.hex": "as above",
    "verify dedup --store redis --redis-url redis://127.0.0.1:6379": "needs a Redis server, as tests/redis has",
    "load measure": "takes a minute",
    "load simulate": "takes a minute",
    "load simulate --virtual --seed 7": "takes seconds; tests/engine/test_simulation.py does the same",
    "export-books --conf CONF": "needs a store of an earlier version; tests/plugins/test_old_books.py has one",
}
"""What only the real command line reads, and why it is not run."""
SHORTER = {
    "run conf/demo.toml": "run conf/demo.toml --for 300ms",
    "record demo.rec --conf conf/books.toml --for 20s": "record demo.rec --conf conf/books.toml --for 600ms",
    "verify dedup": "verify dedup --ttl 20ms --wait 30ms",
    "verify backpressure --count 5200": "verify backpressure --count 520 --capacity 500",
}
"""What is typed instead, so that nobody waits."""


@frozen
class Shown:
    """A command line as a text shows it."""

    where: str
    command: str
    """Without the name of the program, comments and redirections."""


def blocks() -> Iterator[Shown]:
    """Return the command lines that stand in blocks, to be typed as they are."""
    for path in TEXTS:
        fenced = False
        for line in path.read_text().splitlines():
            fenced ^= line.startswith("```")
            found = _BLOCK.search(line) if fenced or line.startswith("    ") else None
            if found is not None:
                yield Shown(path.name, found[1].removeprefix("trio-copy ").strip())


def spans() -> Iterator[Shown]:
    """Return the command lines that stand inside of sentences, with words in capitals for what is meant."""
    for path in TEXTS:
        for found in _INLINE.findall(path.read_text()):
            yield Shown(path.name, " ".join(found.split()).removeprefix("trio-copy "))


def modules() -> Iterator[Shown]:
    """Return what is run of a checkout, as `python -m ...`."""
    for path in TEXTS:
        for found in re.findall(r"\bpython -m ([^`#\n]+)", path.read_text()):
            yield Shown(path.name, found.strip())


def words_of(command: str) -> list[str]:
    """Cut a command line as a shell does."""
    return shlex.split(command)
