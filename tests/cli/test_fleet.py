"""`trio-copy fleet`: what nodes and the store say of operators, and gas money that a person agrees to."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field

from tests.builders import NOW, POLYGON
from tests.cli.live import SECRET
from tests.signing.test_fleets import FIRST, PHRASE, SECOND
from trio_copy.cli import main
from trio_copy.cli.acted import Told
from trio_copy.cli.fleet import refuel_fleets
from trio_copy.cli.live import open_for_live, torn_keys
from trio_copy.cli.operators import Operator, Station, look_at, open_nonces, transfer_cost
from trio_copy.cli.refuelled import have_refuelled
from trio_copy.config import to_checksum
from trio_copy.config.fleets import FleetTable
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.errors import ChainError, ConfigError, RpcError
from trio_copy.model.ids import Address, ChainId, FollowerId, Hash32
from trio_copy.native import SecretKey
from trio_copy.ports import NOBODY, Act, ActReport, Changes, Deed, Document, Done, StoreContext
from trio_copy.records import write_plain
from trio_copy.signing.arming import arm, limits_of
from trio_copy.testing.acting import ScriptedActor, acting_plugin
from trio_copy.testing.anvil.node import Node
from trio_copy.testing.anvil.sending import open_chain
from trio_copy.testing.devnet.chain import DevChain
from trio_copy.testing.nodes import ScriptedNodes
from trio_copy.transactions.refuelling import document_name, refuel_key

Capture = pytest.CaptureFixture[str]
FUNDING = SecretKey(SECRET).address
THIRD = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc"
FLEET = FleetTable(mnemonic="env:NOBODY")
COIN = 10**18
REFUELS = f"dry-run/{document_name(POLYGON, 'ops')}"
CONF = """
[engine]
mode = "live"
[chain]
chain_id = 137
[[endpoint]]
name = "anvil"
url = "{url}"
[store.sqlite]
path = "{folder}/books.db"
[signing]
folder = "{folder}/signing"
[executor.dry-run]
[decoder.order-filled]
[fleet.ops]
mnemonic = "file:{folder}/keys/phrase"
operators = 3
funding = "file:{folder}/keys/funding.hex"
[wallet.safe]
fleet = "ops"
signature_type = "safe"
address = "0x00000000000000000000000000000000000000c0"
[[follower]]
id = "alice"
executor = "dry-run"
wallet = "safe"
[[follow]]
follower = "alice"
leader = "0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
"""


@pytest.fixture(autouse=True)
def in_a_shared_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_copy.cli.fleet.keep_out_of_dumps", lambda: None)


def write_conf(folder: Path, url: str) -> Path:
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    for name, content in (("phrase", PHRASE), ("funding.hex", SECRET.hex())):
        (keys / name).write_text(content)
        (keys / name).chmod(0o600)
    conf = folder / "conf.toml"
    conf.write_text(CONF.format(folder=folder, url=url))
    return conf


def set_balances(node: Node, **coins: float) -> None:
    """Let accounts of a node have so many coins each."""
    addresses = {"first": FIRST, "second": SECOND, "third": THIRD, "funding": FUNDING}

    async def set_all() -> None:
        async with open_chain(node) as chain:
            for who, amount in coins.items():
                await chain.session.request("anvil_setBalance", addresses[who], hex(int(amount * COIN)))

    trio.run(set_all)


def write_documents(plan: Plan, documents: dict[str, bytes]) -> None:
    """Let a store have documents of sendings, as an engine writes them."""

    async def write() -> None:
        context = StoreContext(settings=plan.store.settings, wall=lambda: 0.0)
        async with plan.store.plugin.open(context) as store:
            lease = await store.control.acquire("shard-0", "engine", 30)
            assert lease is not None
            await store.accounts.take(0, lease.token)
            puts = [Document(NOBODY, "sending", name, body) for name, body in documents.items()]
            await store.accounts.write(0, lease.token, 1, Changes(puts=puts))

    trio.run(write)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A chain that all these tests share; its accounts are those of the phrase."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    node = Node(port, tmp_path_factory.mktemp("fleet"))
    with subprocess.Popen(node.command, stdout=subprocess.DEVNULL) as process:
        try:
            trio.run(node.wait_ready)
            yield node
        finally:
            process.kill()


@pytest.fixture
def conf(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_conf(tmp_path, node.url)
    monkeypatch.setenv("TRIO_COPY_CONF", str(path))
    set_balances(node, first=0.05, second=1.5, third=0.1, funding=100)
    return path


@define
class Carrier:
    """Does what it is asked for, and says so."""

    done: Done = Done.LANDED
    acts: list[Act] = field(factory=list)

    def __call__(self, plan: Plan, acts: Sequence[Act], told: Told) -> Sequence[ActReport]:
        self.acts += acts
        sent = Hash32("0x" + "ab" * 32)
        reports = [ActReport(done=self.done, transaction=sent, gas_wei=21_000 * 10**9) for _ in acts]
        for place, report in enumerate(reports):
            told(place, report)
        return reports


def test_operators_are_shown_as_the_chain_has_them(node: Node, conf: Path, capsys: Capture) -> None:
    """What they hold, what they have used, and what an engine has under way; nothing of the phrase."""
    used = _used(node, SECOND)
    plan = load_plan(conf)
    write_documents(
        plan, {f"dry-run/137/{SECOND}/{used}/{'a' * 64}": b"[]", f"dry-run/1/{FIRST}/0/-": b"[]", REFUELS: b"[1,[],[]]"}
    )
    assert main(["fleet", "status", "--json"]) == 1
    told = capsys.readouterr().out
    rows = [json.loads(line) for line in told.splitlines()]
    assert [row["address"] for row in rows] == [FIRST, SECOND, THIRD, FUNDING]
    assert [row["operator"] for row in rows] == ["0", "1", "2", "funding"]
    assert [row["balance"] for row in rows] == ["0.05", "1.5", "0.1", "100"]
    assert [row["open"] for row in rows] == [0, 1, 0, 0]
    assert [row["used"] for row in rows][1] == used
    low, lost = "low: under 0.2", f"nonce {used} is in no pool: an engine sends it again"
    assert [row["state"] for row in rows] == [low, lost, low, "ok"]
    assert "junk" not in told
    assert main(["fleet", "status", "ops"]) == 1
    assert to_checksum(Address(SECOND))[:6] in capsys.readouterr().out
    assert main(["fleet", "status", "op"]) == 2
    assert 'FLEET: expected a fleet (ops), got "op"; did you mean "ops"?' in capsys.readouterr().err


def _used(node: Node, who: str) -> int:
    async def ask() -> int:
        async with open_chain(node) as chain:
            return int(json.loads(bytes(await chain.session.request("eth_getTransactionCount", who, "latest"))), 16)

    return trio.run(ask)


def test_who_is_low_is_filled_up_once_a_person_agrees(node: Node, conf: Path, capsys: Capture) -> None:
    """Without a terminal nobody has agreed; what was begun before is among what is done."""
    plan, carrier = load_plan(conf), Carrier()
    with pytest.raises(ConfigError, match="--yes: expected it"):
        refuel_fleets(plan, ["ops"], carrier, yes=False, json=False)
    told = capsys.readouterr().out
    assert f"fleet ops: {to_checksum(FUNDING)} has 100, 0 of 10 given within 24 h" in told
    assert f"{to_checksum(Address(FIRST))} has 0.05, gets 0.95" in told
    assert carrier.acts == []
    assert refuel_fleets(plan, ["ops"], carrier, yes=True, json=False) == 0
    first, third = carrier.acts
    assert [(act.deed, act.wallet.address, act.wallet.name) for act in carrier.acts] == [
        (Deed.REFUEL, FUNDING, "funding:ops")
    ] * 2
    assert [(call.to, call.value) for act in carrier.acts for call in act.calls] == [
        (FIRST, 95 * COIN // 100),
        (THIRD, 9 * COIN // 10),
    ]
    assert (first.wallet.follower, first.wallet.fleet) == ("alice", "ops")
    assert "it has it, for good; gas 0.000021" in capsys.readouterr().out
    day = int((first.until - 300) // 86_400)
    assert first.key == refuel_key(POLYGON, Address(FIRST), day, 0)
    known = [[first.key, FIRST, str(95 * COIN // 100), first.until, 0], [third.key, THIRD, "9", first.until, 1]]
    write_documents(plan, {REFUELS: write_plain([1, known, []])})
    again = Carrier(done=Done.MINED)
    assert refuel_fleets(plan, ["ops"], again, yes=True, json=True) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["operator"], row["amount"], row["done"]) for row in rows] == [
        (FIRST, "0.95", "mined"),
        (THIRD, "0.9", "mined"),
    ]
    assert again.acts[0].key == first.key, "it was begun, and may have happened"
    assert again.acts[1].key == refuel_key(POLYGON, Address(THIRD), day, 1)


def test_nobody_gets_more_than_there_is(node: Node, conf: Path, capsys: Capture) -> None:
    """Who is left out is named, and the exit code says so; where nobody is low, nobody is asked."""
    plan, carrier = load_plan(conf), Carrier()
    set_balances(node, funding=1)
    assert refuel_fleets(plan, ["ops"], carrier, yes=True, json=False) == 1
    assert len(carrier.acts) == 1
    assert f"{to_checksum(Address(THIRD))} has 0.1, gets nothing: not enough is left" in capsys.readouterr().out
    set_balances(node, first=1, third=1)
    assert refuel_fleets(plan, ["ops"], carrier, yes=False, json=False) == 0
    assert "nobody has less than 0.2" in capsys.readouterr().out
    write_documents(plan, {REFUELS: b"[2]"})
    assert main(["fleet", "refuel", "ops"]) == 1
    assert "expected the refuels of fleet ops" in capsys.readouterr().err


def test_a_fleet_that_nobody_refuels_is_refused(node: Node, conf: Path, capsys: Capture) -> None:
    text = conf.read_text()
    funding = next(line for line in text.splitlines() if line.startswith("funding"))
    conf.write_text(text.replace(f"{funding}\n", ""))
    assert main(["fleet", "refuel"]) == 2
    assert "fleet: expected a table [fleet.NAME] with funding" in capsys.readouterr().err
    assert main(["fleet", "refuel", "ops"]) == 2
    assert "fleet.ops.funding: required to refuel, but not set" in capsys.readouterr().err
    conf.write_text(text.replace('fleet = "ops"\nsignature_type = "safe"', 'key = "env:NONE"'))
    assert main(["fleet", "refuel", "--yes"]) == 2
    assert "fleet.ops: expected a follower whose wallet has it; nobody would do it" in capsys.readouterr().err
    assert main(["fleet", "refuel", "--json"]) == 2
    conf.write_text(text.replace("phrase", "none"))
    assert main(["fleet", "status"]) == 2
    assert "fleet.ops.mnemonic: expected a file" in capsys.readouterr().err


def station(place: str, address: str | None) -> Station:
    return Station(fleet="ops", place=place, address=None if address is None else Address(address))


async def test_what_nodes_do_not_tell_is_unknown() -> None:
    """Nonsense, errors and a keystore that names nobody: none of it is a balance."""
    said: dict[str, object] = {FIRST: "0x10", SECOND: "16 coins", THIRD: RpcError(-32000, "not now")}

    def says(node: str, method: str, params: Sequence[object]) -> object:
        return said[str(params[0])]

    nodes = ScriptedNodes(DevChain(POLYGON, lambda: NOW), says)
    stations = [station("0", FIRST), station("1", SECOND), station("2", THIRD), station("3", None)]
    found = await look_at(stations, nodes, {Address(FIRST): frozenset({3, 16})})
    assert [one.wei for one in found] == [16, None, None, None]
    assert [one.used for one in found] == [16, None, None, None]
    assert found[0].state(FLEET) == "nonce 16 is in no pool: an engine sends it again"
    for one, words in zip(found[1:], ("expected a number", "not now", "its keystore names no address"), strict=True):
        assert one.state(FLEET).startswith("unknown: ")
        assert words in one.state(FLEET)
    with pytest.raises(ChainError):
        await transfer_cost(ScriptedNodes(DevChain(POLYGON, lambda: NOW)), ChainId(100))
    nodes = ScriptedNodes(DevChain(POLYGON, lambda: NOW), lambda *_: "0xa")
    assert await transfer_cost(nodes, ChainId(100)) == 420_000
    # A node that knows nothing of the tips that Polygon's pools ask.
    assert await transfer_cost(nodes, POLYGON) == 42_000 * 25 * 10**9


@pytest.mark.parametrize(
    ("place", "coins", "state"),
    [("0", 0.2, "ok"), ("0", 0.19, "low: under 0.2"), ("funding", 0.9, "low: under 1"), ("funding", 1, "ok")],
)
def test_how_an_operator_is_follows_from_what_it_has(place: str, coins: float, state: str) -> None:
    operator = Operator(station=station(place, FIRST), wei=int(coins * COIN), used=5, pending=7, open=frozenset({4, 6}))
    assert operator.state(FLEET) == state


def test_nonces_are_read_from_the_names_of_documents() -> None:
    """Those of other chains, and documents of another kind beside them, are none."""
    names = [
        f"on/137/{FIRST}/7/a",
        f"on/137/{FIRST}/8/-",
        f"other/137/{SECOND}/1/a",
        f"on/1/{FIRST}/9/a",
        "on/refuels/137/ops",
        f"on/137/{FIRST}/x/a",
        f"on/137/{FIRST}/gas",
        "odd",
    ]
    documents = [Document(NOBODY, "sending", name, b"") for name in names]
    assert open_nonces(documents, POLYGON) == {FIRST: {7, 8}, SECOND: {1}}


def test_keys_of_fleets_are_listed_and_tried_with_those_of_wallets(
    node: Node, conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wallet of a fleet has no key of its own; that its operators can be opened is what there is to check."""
    for module in ("trio_copy.cli.keys", "trio_copy.signing.fleets"):
        monkeypatch.setattr(f"{module}.keep_out_of_dumps", lambda: None)
    assert main(["check"]) == 0
    assert main(["keys", "list", "--json"]) == 0
    assert main(["keys", "check", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [(row["wallet"], row.get("key"), row.get("state")) for row in told] == [
        ("safe", "fleet:ops", None),
        ("safe", None, "ok, 3 operators of fleet ops"),
    ]
    conf.write_text(conf.read_text().replace('"safe"\naddress', '"eoa"\naddress'))
    assert main(["keys", "check"]) == 1
    assert "expected that of an operator of fleet.ops" in capsys.readouterr().out
    (conf.parent / "keys" / "phrase").chmod(0o644)
    assert main(["check"]) == 2
    assert main(["keys", "check"]) == 1
    assert capsys.readouterr().out.count("fleet.ops.mnemonic: expected ") == 1


def test_a_live_run_opens_fleets_once_their_wallets_are_armed(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is wrong with keys is said before anything starts; a variable is warned of."""
    for module in ("trio_copy.signing.keys", "trio_copy.signing.fleets"):
        monkeypatch.setattr(f"{module}.keep_out_of_dumps", lambda: None)
    plan = load_plan(conf)
    with pytest.raises(ConfigError, match="not armed: safe"):
        open_for_live(plan, conf)
    [wallet] = plan.settings.live_wallets().values()
    assert wallet.address is not None
    arm(plan.settings.signing.path, wallet.address, limits_of(wallet.policy, POLYGON), time.time() + 3600)
    opened = open_for_live(plan, conf)
    assert [key.address for key in opened.fleets["ops"].of(wallet)] == [FIRST, SECOND, THIRD]
    assert dict(opened.wallets) == {}
    assert "0x" not in repr(opened)
    monkeypatch.setenv("PHRASE", PHRASE)
    text = conf.read_text().replace(f'"file:{conf.parent}/keys/phrase"', '"env:PHRASE"')
    more = f'[wallet.lone]\nkey = "file:{conf.parent}/keys/funding.hex"\naddress = "{FUNDING}"\n'
    conf.write_text(text + more + '[[follower]]\nid = "bob"\nexecutor = "dry-run"\nwallet = "lone"\n')
    arm(plan.settings.signing.path, FUNDING, limits_of(wallet.policy, POLYGON), time.time() + 3600)
    with pytest.raises(
        ConfigError, match=r"wallet\.lone\.key: expected a key that no fleet has, got one of fleet\.ops"
    ):
        open_for_live(load_plan(conf), conf)
    assert "fleet.ops.mnemonic: every process that this one starts inherits PHRASE" in capsys.readouterr().err


def test_a_command_refuels_by_the_executor_where_no_engine_runs(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the funding account's act, under its own key: asked for again, it is done once. Another fleet's wallet cannot."""
    for module in ("trio_copy.cli.acted", "trio_copy.signing.fleets", "trio_copy.signing.keys"):
        monkeypatch.setattr(f"{module}.keep_out_of_dumps", lambda: None)
    actor = ScriptedActor()
    plan = load_plan(conf)
    plan = evolve(plan, executors=tuple(evolve(one, plugin=acting_plugin(actor)) for one in plan.executors))
    assert refuel_fleets(plan, ["ops"], have_refuelled, yes=True, json=False) == 0
    assert [(act.deed, act.calls[0].to, act.wallet.name) for act in actor.asked] == [
        (Deed.REFUEL, FIRST, "funding:ops"),
        (Deed.REFUEL, THIRD, "funding:ops"),
    ]
    context = actor.context
    assert context is not None
    assert context.signers is not None
    [fleet] = context.fleets
    assert fleet.funding == actor.asked[0].wallet
    assert [one.address for one in context.signers.operators(fleet.funding)] == [FUNDING]
    assert capsys.readouterr().out.count("it has it, for good") == 2
    assert refuel_fleets(plan, ["ops"], have_refuelled, yes=True, json=False) == 0, "the same day, the same keys"
    assert len(actor.landed) == 2
    stranger = evolve(actor.asked[0], wallet=evolve(actor.asked[0].wallet, name="funding:other"))
    [report] = have_refuelled(plan, [stranger], lambda place, report: None)
    assert report.done is Done.REFUSED
    assert "expected a wallet that pays for alice, got funding:other" in report.why


def test_one_key_sends_in_one_order(conf: Path) -> None:
    """Two safes of one key are well in one shard, and for who sends no transactions; in two shards each needs a fleet."""
    names = ("a", "b", "c")
    wallets = "".join(
        f'[wallet.{name}]\nkey = "env:KEY"\nsignature_type = "safe"\naddress = "0x{number:040x}"\n'
        for number, name in enumerate(names, 1)
    )
    followers = "".join(f'[[follower]]\nid = "{name}"\nexecutor = "dry-run"\nwallet = "{name}"\n' for name in names)
    conf.write_text(conf.read_text() + wallets + followers)
    plan, key = load_plan(conf), SecretKey(SECRET)
    keys = dict.fromkeys(names, key)
    shared = evolve(plan, store=evolve(plan.store, plugin=evolve(plan.store.plugin, shared=True)))
    assert list(torn_keys(shared, keys)) == []
    sending = tuple(evolve(one, plugin=evolve(one.plugin, keeps_journal=True)) for one in plan.executors)
    assert list(torn_keys(evolve(plan, executors=sending), keys)) == []
    problems = list(torn_keys(evolve(shared, executors=sending), keys))
    apart = [one for one in names if shared.shard_of(FollowerId(one)) != shared.shard_of(FollowerId("a"))]
    assert [problem.split(":")[0] for problem in problems] == [f"wallet.{one}.key" for one in apart]
    assert all("got that of wallet.a" in problem for problem in problems)
    assert apart


def test_where_there_is_no_fleet_a_program_is_told_nothing(tmp_path: Path, capsys: Capture) -> None:
    """A sentence is for people."""
    conf = tmp_path / "conf.toml"
    conf.write_text((Path(__file__).parents[2] / "conf" / "books.toml").read_text())
    assert main(["fleet", "status", "--conf", str(conf)]) == 0
    assert "there is no fleet" in capsys.readouterr().out
    assert main(["fleet", "status", "--conf", str(conf), "--json"]) == 0
    assert not capsys.readouterr().out
