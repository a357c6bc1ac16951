"""A canary in every place where a secret may stand, and every failure there is: none comes out anywhere."""

import json
import os
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
import trio_websocket
from attrs import frozen

from tests.redis.server import RedisServer, free_port, running_redis
from trio_copy.cli import main
from trio_copy.native import SecretKey
from trio_copy.signing.keystore import write_keystore

CHAIN = """
[chain]
chain_id = 137
connect_timeout_s = 2.0
[decoder.order-filled]
[[follower]]
id = "alice"
executor = "{executor}"
[[follow]]
follower = "alice"
leader = "0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
[follow.size]
minimum_policy = "raise"
"""
DRY_RUN = "[executor.dry-run]\n" + CHAIN.format(executor="dry-run")
PASSWORD = "cAnary/pw?1#2@3:4%5&6"
CANARIES = {
    "password": PASSWORD,
    "password as the URL has it": quote(PASSWORD, safe=""),
    "a piece of the password": "cAnary/pw",
    "user and password as a header has them": b64encode(f"someone:{PASSWORD}".encode()).decode().rstrip("="),
    "key in the path": "PathCanary0Q1W2E3R4T5Y",
    "key in the query": "QueryCanaryA9S8D7F6",
    "key in the host": "hostcanary0z9x8c7v6b",
    "executor's secret": "ExecutorCanary\"'&<7",
    "private key": "5afe" * 16,
    "private key as a number": str(int("5afe" * 16, 16)),
    "private key as Python shows bytes": repr(bytes.fromhex("5afe" * 16))[2:-1],
    "passphrase": "open sesame, canary",
}
URL = "{scheme}://someone:" + quote(PASSWORD, safe="") + "@{host}/{what}/{path}?apikey={query}&v=2"


def url(host: str, what: str) -> str:
    path, query = CANARIES["key in the path"], CANARIES["key in the query"]
    return URL.format(scheme="ws", host=host, what=what, path=path, query=query)


@frozen
class Said:
    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


Call = Callable[..., Said]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line in this process."""

    def run(*words: str | Path) -> Said:
        code = main([*map(str, words)])
        return Said(code, *capfd.readouterr())

    return run


async def trio_copy(*words: str | Path, env: Mapping[str, str]) -> Said:
    """Run a command line in a process of its own, beside a node in this one."""
    command = [sys.executable, "-m", "trio_copy", *map(str, words)]
    with trio.fail_after(120):
        done = await trio.run_process(
            command, env={**os.environ, **env}, capture_stdout=True, capture_stderr=True, check=False
        )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def assert_nothing_came_out(done: Said, folder: Path) -> None:
    """Look at the output and at every file, in any letter case and with escapes undone."""
    seen = {"stdout": done.out.encode(), "stderr": done.err.encode()}
    seen |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".py"}
    for where, what in seen.items():
        text = what.decode(errors="replace")
        plain = text.replace("\\\\", "\\").replace('\\"', '"').replace("\\u0026", "&").lower()
        for name, canary in CANARIES.items():
            assert canary.lower() not in plain, f"the {name} came out in {where}: {text}"


@asynccontextmanager
async def mean_node() -> AsyncGenerator[int, None]:
    """A node that repeats in each of its errors everything it was sent."""

    async def talk(request: trio_websocket.WebSocketRequest) -> None:
        said = f"{request.path} {dict(request.headers)}"
        if "/refusing/" in request.path:
            await request.reject(401, extra_headers=[(b"X-You-Sent", said.encode())], body=said.encode())
            return
        ws = await request.accept()
        while True:
            try:
                asked = json.loads(await ws.get_message())
            except trio_websocket.ConnectionClosed:
                return
            if "/closing/" in request.path:
                await ws.aclose(code=1008, reason=request.path[:100])
                return
            error = {"code": -32000, "message": f"no such key: {said.replace('&', chr(92) + 'u0026')}", "data": said}
            await ws.send_message(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}))

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trio_websocket.serve_websocket, talk, "127.0.0.1", 0, ssl_context=None))
        yield server.port
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", [["--json", "--verbose"], []])
async def test_no_secret_of_a_node_comes_out(tmp_path: Path, how: list[str]) -> None:
    """Refused connections and handshakes, errors that repeat the key, closing words, a host that nobody knows."""
    async with mean_node() as port:
        nodes = {
            "away": url(f"127.0.0.1:{free_port()}", "ws"),
            "unknown": url(f"{CANARIES['key in the host']}.nodes.invalid", "ws"),
            **{what: url(f"127.0.0.1:{port}", what) for what in ("refusing", "closing", "repeating")},
        }
        conf = tmp_path / "conf.toml"
        tables = "".join(f'[[endpoint]]\nname = "{name}"\nurl = "env:NODE_{name}"\n' for name in nodes)
        conf.write_text(DRY_RUN + tables + f'[store.sqlite]\npath = "{tmp_path}/books.db"\n')
        env = {f"NODE_{name}": place for name, place in nodes.items()}
        done = await trio_copy("run", conf, "--for", "2s", *how, env=env)
        assert_nothing_came_out(done, tmp_path)
        said = done.all
        assert done.code == 1, said
        assert "no node was ever reached" in said
        for sign in ("no such key: ", "cannot connect to 127.0.0.1", "cannot connect to [redacted].nodes.invalid"):
            assert sign in said


PLUGIN = """
from contextlib import asynccontextmanager
import json
from attrs import field, frozen
from trio_copy.errors import OrderNotSent
from trio_copy.hookspecs import hookimpl
from trio_copy.model.orders import ExecutionReport, Market, Order, Status
from trio_copy.model.settings import setting
from trio_copy.model.units import Price, Shares
from trio_copy.ports import ExecutorPlugin

@frozen(kw_only=True)
class Inner:
    pin: str = setting("", unit="text", why="A secret in a table of its own.", secret=True)

@frozen(kw_only=True)
class LeakySettings:
    fault: str = setting("raise", unit="text", why="What goes wrong.")
    key: str = setting("", unit="text", why="Signs.", secret=True)
    inner: Inner = field(factory=Inner)

class Leaky:
    def __init__(self, name, settings):
        self.name, self.settings = name, settings
        self.said = f"{settings.key!r} {settings.inner.pin} {json.dumps(settings.inner.pin)}"

    async def market(self, token_id):
        if self.settings.fault == "closed":
            return Market(token_id=token_id, tick=Price(10_000), minimum=Shares(0), fee_bps=0, closed=self.said)
        return Market(token_id=token_id, tick=Price(10_000), minimum=Shares(0), fee_bps=0)

    def prepare(self, key, intent, wallet, market):
        return Order(key=key, order_id=f"leaky-{key}", executor=self.name, wallet=wallet, side=intent.side,
                     token_id=intent.token_id, shares=intent.shares, limit_price=intent.limit_price, body=b"x")

    def lane(self, intent, wallet):
        return (wallet.follower, str(intent.token_id))

    async def submit(self, order):
        if self.settings.fault == "not-sent":
            raise OrderNotSent(self.said)
        if self.settings.fault == "exit":
            raise SystemExit(self.said)
        if self.settings.fault == "raise":
            raise RuntimeError(self.said, self.settings.key)
        return ExecutionReport(order_id=order.order_id, status=Status.REJECTED, detail=self.said)

    async def find(self, order):
        return None

@asynccontextmanager
async def open_leaky(context):
    if context.settings.fault == "open":
        raise ValueError(context.settings.key)
    yield Leaky(context.name, context.settings)

@hookimpl
def trio_copy_register_executors(register):
    register(ExecutorPlugin(name="leaky", open=open_leaky, settings=LeakySettings, moves_money=False))

@hookimpl
def trio_copy_on_report(task, report, outcome):
    assert "anary" not in report.detail
    raise RuntimeError("an observer that fails", LEAK)

@hookimpl
def trio_copy_on_skip(skip):
    raise RuntimeError(skip)

import os
LEAK = os.environ["LEAKY_KEY"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed distribution, as pip would leave it."""
    site = tmp_path / "site"
    meta = site / "leaky-1.0.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[trio_copy]\nleaky = leaky\n")
    (site / "leaky.py").write_text(PLUGIN)
    return site


@pytest.mark.parametrize(
    ("fault", "code", "sign"),
    [
        ("reject", 0, "observer-failed"),
        ("not-sent", 0, "rejected"),
        ("closed", 0, "VENUE_REFUSED"),
        ("raise", 1, "submit: raised RuntimeError: ('"),
        ("exit", 1, "submit: raised SystemExit: '"),
        ("open", 1, "plugin leaky 1.0, open_leaky (leaky:54): ValueError: [redacted]"),
    ],
)
def test_no_secret_of_an_executor_comes_out(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch, call: Call, fault: str, code: int, sign: str
) -> None:
    """A third party's executor puts its secrets into reports, errors, observers and bugs: output and books hold none."""
    conf, folder = tmp_path / "conf.toml", tmp_path / "kept"
    folder.mkdir()
    conf.write_text(
        CHAIN.format(executor="leaky")
        + '[engine]\ndrain_s = 2\n[plugins]\nallow = ["leaky"]\n[devnet]\nblock_every_s = 0.2\nfills_per_block = 2.0\nreorg_at_block = 0\n'
        + f'drop_at_block = 0\n[store.sqlite]\npath = "{folder}/books.db"\n'
        + f'[executor.leaky]\nfault = "{fault}"\nkey = "env:LEAKY_KEY"\n[executor.leaky.inner]\npin = "env:LEAKY_PIN"\n'
    )
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("LEAKY_KEY", f"0x{CANARIES['private key']}")
    monkeypatch.setenv("LEAKY_PIN", CANARIES["executor's secret"])
    done = call("run", conf, "--for", "1500ms", "--json", "--verbose")
    said = done.all
    assert_nothing_came_out(done, folder)
    assert done.code == code, said
    assert sign in said
    for verb in ("trades", "skips", "status"):
        assert_nothing_came_out(call(verb, "--conf", conf), folder)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis("--requirepass", "another") as one:
        yield one


@pytest.mark.parametrize(
    "address",
    [
        "redis://:{encoded}@127.0.0.1:{port}",
        "redis://:{encoded}@127.0.0.1:{nobody}",
        "redis://:{raw}@127.0.0.1:{port}",
        "redis://someone:{raw}@127.0.0.1:{port}/3",
        "redis+sentinel://:{encoded}@127.0.0.1:{port}/primary",
        "redis+cluster://:{raw}@127.0.0.1:{port}",
        "rediss://:{encoded}@127.0.0.1:{port}?ssl_cert_reqs=none",
        "rediss://:{raw}@127.0.0.1:{port}?ssl_keyfile=/nowhere",
        "unix://:{encoded}@/nowhere/redis.sock",
        "redisss://:{raw}@127.0.0.1:{port}",
        "{raw}",
    ],
)
def test_no_password_of_redis_comes_out(tmp_path: Path, server: RedisServer, call: Call, address: str) -> None:
    """Wrong, written in a way that cannot be read, or for a server that is not there: from file, variable and command line."""
    place = address.format(encoded=quote(PASSWORD, safe=""), raw=PASSWORD, port=server.port, nobody=free_port())
    named = tmp_path / "secret" / "url"
    named.parent.mkdir()
    named.write_text(place)
    named.chmod(0o600)
    kept = tmp_path / "kept"
    kept.mkdir()
    conf = kept / "conf.toml"
    conf.write_text(
        DRY_RUN + f'[[endpoint]]\nname = "one"\nurl = "ws://127.0.0.1:1"\n[store.redis]\nurl = "file:{named}"\n'
        "patience_s = 0.1\ntimeout_s = 0.5\n"
    )
    calls: list[tuple[str | Path, ...]] = [
        ("run", conf, "--for", "1s", "--verbose"),
        ("status", "--conf", conf),
        ("verify", "dedup", "--redis-url", place, "--store-option", "patience_s=0.1"),
        ("verify", "dedup", "--redis-urll", place),
        ("load", "measure", "--events", place if "://" in place else "x"),
    ]
    for words in calls:
        done = call(*words)
        assert_nothing_came_out(done, kept)
        assert done.code in (1, 2)
        assert len(done.err.splitlines()) == 1, done.err


@pytest.mark.parametrize(
    "text",
    [
        '[executor.dry-run]\nprivate_key = "{key}"\nseed = "{key}"',
        '[executor.dry-run]\napi_key = """{key}',
        '[executor.dry-run]\napi_key = "{key}"\napi_key = "{key}"',
        '[[endpoint]]\nname = "one"\nurl = "wss://node.example/v2/{key}"\nname = 3',
        '[engine]\nworkers = "{key}"\n[chain]\nchain_id = "wss://x/{key}"',
        '[[endpoint]]\nname = "one"\nurl = "file:/nowhere"\n[store.redis]\nurl = "redis://:{key}/x@h"',
    ],
)
def test_no_secret_that_stands_in_a_file_comes_out(tmp_path: Path, call: Call, text: str) -> None:
    """It must not stand there, and it may stand next to a mistake: the problems are named without it."""
    conf = tmp_path / "secret" / "conf.toml"
    conf.parent.mkdir()
    conf.write_text(text.replace("{key}", CANARIES["private key"]))
    kept = tmp_path / "kept"
    kept.mkdir()
    done = call("check", conf)
    assert_nothing_came_out(done, kept)
    assert done.code == 2
    assert all(line.startswith(str(conf)) for line in done.err.splitlines())


THIEF = """
from contextlib import asynccontextmanager
from trio_copy.hookspecs import hookimpl
from trio_copy.model.orders import Market, Order
from trio_copy.model.units import Price, Shares
from trio_copy.ports import ExecutorPlugin

class Thief:
    def __init__(self, context):
        self.context = context
        self.fault = context.settings.fault

    async def market(self, token_id):
        return Market(token_id=token_id, tick=Price(10_000), minimum=Shares(0), fee_bps=0)

    def _steal(self, wallet, fault):
        key = self.context.signers.of(wallet)._key._key.secret
        if self.fault == fault:
            number, text = int.from_bytes(key), key.hex()
            raise RuntimeError(f"{text} {text.upper()} 0x{text} {number} {key!r} {text[:40]}", key, text)

    def prepare(self, key, intent, wallet, market):
        self._steal(wallet, "prepare")
        return Order(key=key, order_id=f"thief-{key}", executor=self.context.name, wallet=wallet, side=intent.side,
                     token_id=intent.token_id, shares=intent.shares, limit_price=intent.limit_price, body=b"x")

    def lane(self, intent, wallet):
        return (wallet.follower, str(intent.token_id))

    async def submit(self, order):
        self._steal(order.wallet, "submit")

    async def find(self, order):
        return None

@asynccontextmanager
async def open_thief(context):
    yield Thief(context)

from attrs import frozen
from trio_copy.model.settings import setting

@frozen(kw_only=True)
class ThiefSettings:
    fault: str = setting("", unit="text", why="What goes wrong.")

@hookimpl
def trio_copy_register_executors(register):
    register(ExecutorPlugin(name="thief", open=open_thief, settings=ThiefSettings))
"""


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key in a keystore, its passphrase in a file, and what somebody may have made of either."""
    monkeypatch.setattr("trio_copy.signing.keys.keep_out_of_dumps", lambda: None)
    monkeypatch.setattr("trio_copy.cli.keys.keep_out_of_dumps", lambda: None)
    monkeypatch.setenv("CANARY_KEY", CANARIES["private key"] + "5a")
    key = bytes.fromhex(CANARIES["private key"])
    keystore = write_keystore(key, CANARIES["passphrase"], lambda length: bytes(range(length)), n=2)
    vault = tmp_path / "vault"
    vault.mkdir(mode=0o700)
    for name, content in {
        "good.json": keystore,
        "broken.json": keystore[:-20] + key.hex().encode(),
        "no.json": key.hex().encode(),
        "pass": CANARIES["passphrase"].encode(),
        "wrong": f"{CANARIES['passphrase']} 2".encode(),
        "long.hex": key.hex().encode() + b"00",
        "good.hex": key.hex().encode(),
    }.items():
        (vault / name).write_bytes(content)
        (vault / name).chmod(0o600)
    return vault


def live_conf(folder: Path, key: str, executor: str = "[executor.dry-run]", name: str = "dry-run") -> Path:
    """A configuration that trades with money, and keeps all it writes in a folder."""
    folder.mkdir(exist_ok=True)
    conf = folder / "conf.toml"
    address = SecretKey(bytes.fromhex(CANARIES["private key"])).address
    conf.write_text(
        CHAIN.format(executor=name).replace(f'"{name}"', f'"{name}"\nwallet = "hot"')
        + f'{executor}\n[engine]\nmode = "live"\ndrain_s = 1\n[signing]\nfolder = "{folder}/signing"\n'
        + "[devnet]\nblock_every_s = 0.2\nfills_per_block = 2.0\nreorg_at_block = 0\ndrop_at_block = 0\n"
        + f'[store.sqlite]\npath = "{folder}/books.db"\n[wallet.hot]\n{key}\naddress = "{address}"\n'
    )
    return conf


@pytest.mark.parametrize(
    "key",
    [
        'key = "keystore:{vault}/good.json"\npassphrase = "file:{vault}/wrong"',
        'key = "keystore:{vault}/broken.json"\npassphrase = "file:{vault}/pass"',
        'key = "keystore:{vault}/no.json"\npassphrase = "file:{vault}/pass"',
        'key = "file:{vault}/long.hex"',
        'key = "file:{vault}/good.json"',
        'key = "env:CANARY_KEY"',
        'key = "{key}"',
        'key = "file:{key}"',
        'key = "env:{key}"',
        'key = "keystore:{vault}/good.json"\npassphrase = "{passphrase}"',
        'key = "keystore:{vault}/good.json"\npassphrase = "env:{key}"',
    ],
)
def test_no_key_of_a_wallet_comes_out_when_it_cannot_be_opened(
    tmp_path: Path, vault: Path, call: Call, key: str
) -> None:
    """A wrong passphrase, a file that is broken or none, a key of a wrong length, a key in the place of its name."""
    written = key.format(vault=vault, key=CANARIES["private key"], passphrase=CANARIES["passphrase"])
    kept = tmp_path / "kept"
    conf = live_conf(kept, written)
    inside = CANARIES["private key"] in written or CANARIES["passphrase"] in written
    if inside:
        conf.rename(tmp_path / "conf.toml")
        conf = tmp_path / "conf.toml"
    for words in (
        ("check", conf),
        ("keys", "list", "--conf", conf),
        ("keys", "check", "--conf", conf),
        ("arm", "hot", "--yes", "--conf", conf),
        ("run", conf, "--live", "--for", "1s", "--json", "--verbose"),
    ):
        done = call(*words)
        assert_nothing_came_out(done, kept)
    assert done.code == 2
    assert done.err


@pytest.mark.parametrize(("fault", "sign"), [("prepare", "prepare: raised"), ("submit", "submit: raised RuntimeError")])
def test_no_key_comes_out_of_a_plugin_that_found_it(
    tmp_path: Path, vault: Path, monkeypatch: pytest.MonkeyPatch, call: Call, fault: str, sign: str
) -> None:
    """Nothing inside one process keeps a plugin from the key; what it then says in errors is still kept from view."""
    site = tmp_path / "site"
    meta = site / "thief-1.0.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: thief\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[trio_copy]\nthief = thief\n")
    (site / "thief.py").write_text(THIEF)
    monkeypatch.syspath_prepend(site)
    kept = tmp_path / "kept"
    key = f'key = "keystore:{vault}/good.json"\npassphrase = "file:{vault}/pass"'
    executor = f'[plugins]\nallow = ["thief"]\n[executor.thief]\nfault = "{fault}"'
    conf = live_conf(kept, key, executor, "thief")
    assert call("arm", "hot", "--yes", "--conf", conf).code == 0
    done = call("run", conf, "--live", "--for", "1s", "--json", "--verbose")
    assert_nothing_came_out(done, kept)
    assert sign in done.all, done.all
    assert_nothing_came_out(call("trades", "--conf", conf), kept)
