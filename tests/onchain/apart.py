"""An engine in a process of its own on a living chain: it can be killed as a machine is, and commands find its books."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from attrs import define, field

from tests.onchain.living import ARMED_S, Kind, Living
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.plan import load_plan
from trio_copy.signing.arming import arm, limits_of
from trio_copy.telemetry.redaction import Redactor

Event = Mapping[str, Any]
STEP_S = 60
"""Most that a process takes for one step. Where others use the machine, its start alone has taken a quarter of a minute."""
LIMIT_S = 240
"""Most that a test takes that starts several, one after the other."""
_ROOT = Path(__file__).parents[2]
_TABLES = """\
[engine]
name = "living"
mode = "{mode}"
deadline_s = 60
backoff_max_s = 0.5
drain_s = 5
[chain]
chain_id = 137
silence_s = 3600
[[endpoint]]
name = "anvil"
url = "{url}"
{store}
[signing]
folder = "{folder}/signing"
[defaults.execution]
slippage_bps = 500
[defaults.filters]
max_age_s = 600
"""
_FOLLOWER = """\
[[follower]]
id = "{name}"
executor = "{executor}"
{pays}
[[follow]]
follower = "{name}"
leader = "{leader}"
[follow.size]
mode = "ratio"
ratio = 0.1
minimum_usd = 0
"""
_WALLET = """\
[wallet.{name}]
{signs}
address = "{address}"
signature_type = "{kind}"
[wallet.{name}.policy]
{policy}
"""
_FLEET = """\
[fleet.{name}]
keys = {keys}
"""


def write_conf(living: Living, executor: str = "dry-run", *, store: str = "") -> Path:
    """Write what `Living.plan` says as a file, with keys beside it, and arm the wallets of what moves money.

    `store` is the tables of another store than a file beside it, and of how it is shared.
    """
    live = executor != "dry-run"
    folder = living.folder
    store = store or f'[store.sqlite]\npath = "{folder}/books.db"'
    text = _TABLES.format(mode="live" if live else "paper", url=living.door.url, folder=folder, store=store)
    for kind, tables in (("decoder", living.stage.decoders), ("executor", {executor: _options(living, executor)})):
        for name, options in tables.items():
            text += f"[{kind}.{name}]\n{_lines(options)}"
    (folder / "keys").mkdir(mode=0o700, exist_ok=True)
    for name, person in living.people.items():
        pays = f'wallet = "{name}"' if live else ""
        text += _FOLLOWER.format(name=name, executor=executor, leader=living.leader, pays=pays)
        if live:
            keys = [f"file:{_write_key(folder, f'{name}-{n}', secret)}" for n, secret in enumerate(person.secrets)]
            fleet = person.kind is Kind.FLEET
            text += _FLEET.format(name=name, keys=_toml(keys)) if fleet else ""
            signs = f'fleet = "{name}"' if fleet else f'key = "{keys[0]}"'
            kind, policy = person.signature_type.name.lower(), _lines(living.stage.policy)
            text += _WALLET.format(name=name, signs=signs, address=person.wallet, kind=kind, policy=policy)
    conf = folder / "conf.toml"
    conf.write_text(text)
    if live:
        plan = load_plan(conf, Redactor())
        for wallet in plan.settings.live_wallets().values():
            assert wallet.address is not None
            until = anchored_wall_clock()() + ARMED_S
            arm(folder / "signing", wallet.address, limits_of(wallet.policy, plan.settings.chain.chain_id), until)
    return conf


def _write_key(folder: Path, name: str, secret: bytes) -> Path:
    path = folder / "keys" / f"{name}.hex"
    path.touch(mode=0o600)
    path.write_text(f"0x{secret.hex()}\n")
    return path


def _lines(options: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in options.items())


def _options(living: Living, executor: str) -> Mapping[str, Any]:
    if executor != "dry-run":
        return living.stage.executors[executor]
    return {"latency_ms": 10, "latency_jitter_ms": 0, "partial_bps": 0, "price_source": "leader"}


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{ {', '.join(f'{key} = {_toml(inner)}' for key, inner in value.items())} }}"
        case _:
            return str(value)


@define(eq=False)
class Apart:
    process: trio.Process
    events: list[Event] = field(factory=list)
    """Everything it has told, oldest first."""
    _told: trio.Event = field(factory=trio.Event)

    async def wait(self, reached: Callable[[list[Event]], bool], what: str) -> None:
        """Wait until what it has told so far is enough. Raises `AssertionError`, which names it, where it ends before or hangs."""
        with trio.move_on_after(STEP_S):
            await trio.lowlevel.checkpoint()
            while not reached(self.events):
                told = self._told
                if self.process.poll() is not None and self.process.stdout is None:
                    raise AssertionError(f"it ended with {self.process.returncode} before {what}: {self.events[-3:]}")
                await told.wait()
            return
        raise AssertionError(f"{what} did not come in {STEP_S} s, after {self.events[-3:]}")

    async def wait_step(self, step: str) -> None:
        await self.wait(lambda events: any(one["event"] == "step" and one["step"] == step for one in events), step)

    async def wait_copies(self, count: int) -> None:
        await self.wait(lambda _: len(self.copies) >= count, f"copy {count}")

    @property
    def copies(self) -> list[tuple[str, str]]:
        """(signal, follower) of every copy that filled something."""
        return [
            (one["signal_id"], one["follower"])
            for one in self.events
            if one["event"] == "report" and one["end"] in ("filled", "partial")
        ]

    async def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Let it drain; returns its exit code."""
        self.process.terminate()
        with trio.move_on_after(STEP_S):
            return await self.process.wait()
        raise AssertionError(f"it did not end in {STEP_S} s, after {self.events[-3:]}")

    async def run_reader(self) -> None:
        assert self.process.stdout is not None
        rest = b""
        async for chunk in self.process.stdout:
            *lines, rest = (rest + bytes(chunk)).split(b"\n")
            self.events += (msgspec.json.decode(line) for line in lines)
            self._tell()
        self.process.stdout = None
        self._tell()

    def _tell(self) -> None:
        self._told.set()
        self._told = trio.Event()


@asynccontextmanager
async def open_apart(conf: Path, *, signal_at: str = "") -> AsyncGenerator[Apart, None]:
    """Run `trio-copy run CONF --json` while the block runs; killed at its end, unless it has ended by then.

    `signal_at`, as `KILL 2 onchain: bound`, sends it a signal as it passes a point for the so-manieth time.
    """
    live = ["--live"] if 'mode = "live"' in await trio.Path(conf).read_text() else []
    module = "tests.onchain.pointed" if signal_at else "trio_copy"
    command = [sys.executable, "-m", module, "run", str(conf), "--json", *live]
    start = partial(
        trio.lowlevel.open_process,
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "SIGNAL_AT": signal_at},
        cwd=_ROOT,
    )
    apart = Apart(await start())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(apart.run_reader)
        try:
            yield apart
        finally:
            with trio.CancelScope(shield=True):
                await apart.kill()
