"""Every verb, and the line that `trio-copy --help` shows of it: that of its own docstring, which a test compares.

A verb is imported when it is called: most of them bring the engine along, and a list of their names needs none of it.
"""

import shutil
from collections.abc import Sequence
from textwrap import fill

ABOUT = "Copy what leaders trade on Polygon, for every follower exactly once."

VERBS = {
    "run": "Follow the leaders and copy what they trade.",
    "init": "Write a first configuration for paper trading on mainnet, with comments; what no option says is asked.",
    "check": "Validate a configuration without starting anything, and list every problem at once.",
    "status": "Show who works on the store: instances, what their watchdogs say, the shards they own, what waits in each, "
    "dead letters, and the mode.",
    "drain": "Ask one instance to finish what it works on and stop; the others take over its shards.",
    "positions": "List what is held: shares, cost, and what it would bring at the last known bid.",
    "pnl": "Add up profit and loss: realised from sales and redemptions, fees included, and unrealised at the last known "
    "bid.",
    "gas": "Show what transactions have cost in gas, by wallet and operator, in the chain's own coin; `pnl` does not count it.",
    "fidelity": "Show how far paper was from what the book allowed, then and 1 s, 5 s and 30 s later, by leader and by size of the "
    "copy.",
    "trades": "List what was bought, sold and redeemed, newest first.",
    "skips": "List copies that were not made, newest first: the code, the control that said no, what it met and its limit.",
    "mode": "Show the modes and pauses in force, or change a mode. A running engine obeys within a second; a mode survives restarts.",
    "exit": "Sell positions at what the market bids, down to `leaving.exit_slippage_bps` under it; a running engine does it.",
    "pause": "Let a follow, a follower or a leader have no entries copied until `trio-copy resume`; exits go on.",
    "resume": "End a pause of a follow, a follower or a leader. A running engine obeys within a second.",
    "record": "Do what `run` does, and write down every raw log and all that markets tell: compressed, and only ever added to.",
    "fetch": "Read what leaders traded in the past from any archive node, into a recording that `replay` and `backtest` play.",
    "replay": "Run the engine on a recording in virtual time, on paper, and report what it would have done.",
    "backtest": "Play a recording through the engine, on paper, and say what each leader was worth.",
    "leaders": "Rank those you follow by what copying them brought, or the wallets of a recording by what a follower could have "
    "earned.",
    "backup": "Copy the whole store to a file while an engine runs, and look through the copy.",
    "restore": "Put a backup in the place of the store, while no engine runs on it; what was there is kept beside it.",
    "export-books": "Write the follows, modes and ledger of a store that an earlier version made, as JSON lines to standard "
    "output.",
    "plugins": "List the installed executors, stores, decoders and market sources.",
    "decode": "Decode raw logs and print one JSON object per fill.",
    "selftest": "Boot the real engine on a devnet inside the process and copy one trade, without touching money or network.",
    "doctor": "Look at live wallets, their keys, approvals and standing at the venue, and say what to do; changes nothing.",
    "arm": "Allow that wallets trade with money, on this machine, for a while, and within the limits that are shown.",
    "disarm": "Forbid that wallets trade, on this machine: from the next second on nothing is signed for them, exits neither.",
    "completion": "Print a script that lets a shell complete commands and options.",
    "devnet": "Play a scripted market on a node of its own, so that several instances can follow the same chain.",
}
GROUPS = {
    "follow": "Say who copies whom. A running engine takes changes up within a second.",
    "explain": "Say why: which settings are in force and where they come from, and how one copy came about.",
    "export": "Write trades or the ledger as CSV, for accountants and spreadsheets: every figure with all its digits.",
    "orders": "Orders that rest at a venue, or whose outcome is not proven yet, and what a person knows about them.",
    "wallet": "What followers have on paper, and what live wallets do on the chain besides trading.",
    "keys": "Lock private keys away, and see where those of the wallets are.",
    "fleet": "Operators who send what several wallets do: how they stand, and gas money for them.",
    "clob": "Write orders and headers for Polymarket's CLOB as they would be sent, and send nothing.",
    "dlq": "Look at dead letters, queue them again, or forget them.",
    "load": "How many copies, how fast, on how many machines.",
    "verify": "Try to break a promise, and say whether it held.",
}

HEADINGS = {
    "Run": ("run", "drain", "mode", "record"),
    "Prepare": ("init", "check", "selftest", "plugins", "follow"),
    "Trade with money": ("keys", "fleet", "doctor", "arm", "disarm"),
    "Look into the books": (
        "status",
        "positions",
        "pnl",
        "gas",
        "wallet",
        "fidelity",
        "trades",
        "skips",
        "explain",
        "export",
        "export-books",
    ),
    "Decide by hand": ("pause", "resume", "exit", "orders", "dlq", "backup", "restore"),
    "Learn from the past": ("fetch", "backtest", "leaders", "replay"),
    "Try it out": ("devnet", "load", "verify", "decode", "clob"),
}
"""What belongs together; what stands nowhere here is listed at the end."""
EXAMPLES = {
    "run": ("run conf/demo.toml --for 20s", "run conf/paper.toml --json"),
    "check": ("check conf/paper.toml", "check conf/paper.toml --connect"),
    "status": ("status --conf conf/prod.toml",),
    "drain": ("drain host-4711 --conf conf/shards.toml",),
    "positions": ("positions --follower alice", "positions --all --csv"),
    "pnl": ("pnl --by leader", "pnl --by day --since 7d"),
    "gas": ("gas", "gas --json"),
    "fidelity": ("fidelity --since 7d", "fidelity --leader 0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"),
    "trades": ("trades --since 24h --limit 20", "trades --follower alice --csv"),
    "skips": ("skips --since 3h", "skips --follower alice --json"),
    "mode": ("mode", 'mode halt-new --why "the venue is odd"', "mode run --follower alice"),
    "record": ("record market.rec --conf conf/books.toml --for 20s",),
    "replay": ("replay market.rec --conf conf/books.toml",),
    "export-books": ("export-books --conf conf/prod.toml",),
    "plugins": ("plugins", "plugins conf/prod.toml"),
    "decode": ("decode receipt.json",),
    "completion": ("completion bash",),
    "selftest": ("selftest", "selftest conf/paper.toml"),
    "devnet": ("devnet conf/shards.toml",),
    "init": ("init", "init mine.toml --leader BigFish=0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d --size 1%"),
    "pause": ("pause --follower alice", "pause alice:0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"),
    "resume": ("resume --follower alice",),
    "exit": ("exit --follower alice", "exit --all --yes"),
    "backup": ("backup books.copy",),
    "restore": ("restore books.copy",),
    "fetch": ("fetch past.rec --leader 0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d --since 30d --conf conf/paper.toml",),
    "backtest": ("backtest conf/paper.toml past.rec", "backtest conf/paper.toml past.rec --set size.ratio=0.02,0.05"),
    "leaders": ("leaders --conf conf/prod.toml", "leaders past.rec", "leaders --source polymarket --since 7d"),
    "wallet show": ("wallet show --by-day",),
    "wallet deposit": ("wallet deposit alice 100",),
    "wallet withdraw": ("wallet withdraw alice 50",),
    "wallet approve": ("wallet approve hot --usd 200",),
    "wallet settle": ("wallet settle hot 0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d --payout 1",),
    "wallet redeem": ("wallet redeem hot --all", "wallet redeem hot --all --yes --json"),
    "doctor": ("doctor conf/prod.toml", "doctor --wallet hot --json"),
    "arm": ("arm", "arm hot --for 8h --conf conf/prod.toml"),
    "disarm": ("disarm --conf conf/prod.toml", "disarm hot"),
    "keys import": ("keys import hot", "keys import hot --from file:key.hex --passphrase file:passphrase"),
    "keys list": ("keys list",),
    "keys check": ("keys check --conf conf/prod.toml",),
    "fleet status": ("fleet status", "fleet status ops --json"),
    "fleet refuel": ("fleet refuel ops --conf conf/prod.toml",),
    "export trades": ("export trades trades.csv --since 30d",),
    "export ledger": ("export ledger -",),
    "follow add": ("follow add alice 0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d size.ratio=0.02 caps.max_day_usd=200",),
    "follow list": ("follow list --csv",),
    "explain follow": ("explain follow alice:0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d",),
    "explain trade": ("explain trade 57efd6",),
    "orders list": ("orders list",),
    "clob sign": ("clob sign orders.jsonl --key-file key.hex",),
    "clob headers": ("clob headers requests.jsonl", "clob headers --key-file key.hex --chain-id 80002"),
    "clob prepare": ("clob prepare intents.jsonl --key-file key.hex",),
    "dlq stats": ("dlq stats",),
    "dlq peek": ("dlq peek --json",),
    "load model": ("load model",),
    "load measure": ("load measure",),
    "load simulate": ("load simulate --virtual --seed 7",),
    "verify dedup": ("verify dedup",),
    "verify backpressure": ("verify backpressure --count 5200",),
}
"""By page of the help: command lines that work as they stand."""
ONLY_TELL = (
    *("clob", "completion", "decode", "dlq peek", "dlq stats", "explain", "export", "export-books", "fidelity"),
    *("follow export", "follow list", "gas", "keys list", "leaders", "orders list", "plugins", "pnl", "positions"),
    *("skips", "trades", "wallet show"),
)
"""Commands that do nothing but write, and judge nothing: whoever has read enough of it has had all of it."""

_NARROWEST, _WIDEST = 40, 120


def only_tells(words: Sequence[str]) -> bool:
    """Tell whether a command line does nothing but write."""
    return "--help" in words or any(list(words[: len(one.split())]) == one.split() for one in ONLY_TELL)


def overview() -> str:
    """Write what the program is for, and its verbs, as wide as the terminal is."""
    width = min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)
    start = "Start with `trio-copy run conf/demo.toml`: it needs no network, no key and no server."
    commands = {
        **VERBS,
        **GROUPS,
        "help COMMAND": "Show what one command takes; --help and -h behind it do too.",
        "--version": "Show the version.",
    }
    column = max(map(len, commands)) + 4
    lines = []
    grouped = {name for names in HEADINGS.values() for name in names}
    for heading, names in {**HEADINGS, "Others": [name for name in commands if name not in grouped]}.items():
        lines += ["", f"{heading}:"]
        lines += [
            fill(commands[name], width, initial_indent=f"  {name}".ljust(column), subsequent_indent=" " * column)
            for name in names
        ]
    return "\n".join(("Usage: trio-copy COMMAND", "", fill(ABOUT, width), "", fill(start, width), *lines))
