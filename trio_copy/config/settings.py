"""Every setting of the engine itself. Plugins declare their own; follows' settings live in `trio_copy.model.follows`."""

from collections.abc import Collection, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

import attrs
from attrs import field, frozen

from trio_copy.config.fleets import FleetTable
from trio_copy.config.wallets import WalletTable
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Follow, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import Address, ChainId, FollowerId
from trio_copy.model.layers import Layer, layer, leaves
from trio_copy.model.orders import SignatureType
from trio_copy.model.settings import group, one_of, setting, within
from trio_copy.model.units import NO_USD, Usd


@frozen(kw_only=True)
class EngineSettings:
    """How this process works through signals."""

    name: str = setting("trio-copy", unit="text", why="Shown in the status line and the logs.")
    mode: str = setting(
        "paper",
        unit="paper | live",
        why="paper refuses every executor that moves money; live also needs --live on the command line.",
        check=one_of("paper", "live"),
    )
    deadline_s: float = setting(
        5.0,
        unit="seconds after the leader's block",
        why="A copied trade loses its value quickly; nothing is sent later than this.",
        check=within(0.1, 3600.0),
    )
    queue_capacity: int = setting(
        5000,
        unit="tasks",
        why="Entries beyond this are shed, exits of one position share an order; longer, it would only serve stale copies.",
        check=within(1, 10_000_000),
    )
    workers: int = setting(
        500,
        unit="tasks at once, per executor",
        why="Bounds the orders in flight, the wait for the disk included; exits have a tenth more, and what takes long while"
        " others wait up to three times as many besides. 2,000 copies a second keep 60 to 300.",
        check=within(1, 10_000),
    )
    send_timeout_s: float = setting(
        10.0,
        unit="seconds",
        why="A send that takes longer is an unproven outcome; it holds one lane, never the others.",
        check=within(0.01, 300.0),
    )
    dedup_ttl_s: float = setting(
        86_400.0,
        unit="seconds",
        why="How long an admitted signal is known; longer than any backfill reaches back.",
        check=within(0.001, 10_000_000.0),
    )
    drain_s: float = setting(
        10.0, unit="seconds", why="How long Ctrl-C waits for queued and running copies.", check=within(0.0, 3600.0)
    )
    reconcile_every_s: float = setting(
        2.0, unit="seconds", why="How often unproven outcomes are looked up.", check=within(0.05, 3600.0)
    )
    startup_reconcile_s: float = setting(
        120.0,
        unit="seconds",
        why="How long a start waits for the outcomes of orders that an earlier run left open, before it refuses to arm.",
        check=within(0.0, 3600.0),
    )
    exits_every_s: float = setting(
        2.0,
        unit="seconds",
        why="How often open positions are compared with their own rules for leaving.",
        check=within(0.05, 3600.0),
    )
    alert_every_s: float = setting(
        60.0,
        unit="seconds",
        why="How long an alert speaks for those like it, of one kind and object; they are counted, and told when it is over; 0 tells all.",
        check=within(0.0, 86_400.0),
    )
    escalate_after_s: float = setting(
        120.0,
        unit="seconds",
        why="An outcome still unproven after this is handed to a person; what it holds stays held.",
        check=within(1.0, 86_400.0),
    )
    max_day_usd: Usd | None = setting(
        None,
        unit="USD per UTC day",
        why="Ceiling on the cost of all entries of all followers; unset means no ceiling.",
        check=within(NO_USD, Usd.parse(1_000_000_000)),
    )
    restarts: int = setting(
        60,
        unit="restarts",
        why="Reconnects with no endpoint alive, within restart_window_s, before the process gives up with exit code 1.",
        check=within(0, 100_000),
    )
    restart_window_s: float = setting(
        900.0, unit="seconds", why="Window of the restart budget.", check=within(1.0, 86_400.0)
    )
    backoff_base_s: float = setting(
        0.25, unit="seconds", why="First reconnect waits a random time up to this; it doubles.", check=within(0.0, 60.0)
    )
    backoff_max_s: float = setting(
        30.0, unit="seconds", why="Longest random wait before a reconnect.", check=within(0.0, 3600.0)
    )


@frozen(kw_only=True)
class ChainSettings:
    """How the chain is followed."""

    chain_id: ChainId = setting(
        attrs.NOTHING, unit="number", why="137 is Polygon. A node that serves another chain is refused."
    )
    feed_capacity: int = setting(
        1024, unit="logs", why="Logs that may wait for the pipeline.", check=within(1, 1_000_000)
    )
    stall_ms: int = setting(
        250,
        unit="milliseconds",
        why="How long a full feed is waited for before the connection is given up and the gap filled later.",
        check=within(0, 60_000),
    )
    connect_timeout_s: float = setting(
        10.0, unit="seconds", why="TCP, TLS and WebSocket handshake together.", check=within(0.1, 300.0)
    )
    request_timeout_s: float = setting(
        10.0, unit="seconds", why="An unanswered request; the next endpoint is asked.", check=within(0.1, 300.0)
    )
    requests_per_s: float = setting(
        50.0,
        unit="requests a second, per endpoint",
        why="Free plans allow 10 to 30; following the heads needs less than one, catching up takes what it is given.",
        check=within(0.1, 10_000.0),
    )
    ping_every_s: float = setting(
        5.0, unit="seconds", why="Half-open sockets look alive; a ping finds them.", check=within(0.1, 300.0)
    )
    ping_timeout_s: float = setting(
        5.0, unit="seconds", why="An unanswered ping ends the connection.", check=within(0.1, 300.0)
    )
    silence_s: float = setting(
        10.0,
        unit="seconds",
        why="No new head for this long, or for five usual block times, ends the connection.",
        check=within(0.5, 3600.0),
    )
    behind_blocks: int = setting(
        5, unit="blocks", why="An endpoint this far behind the best one is reconnected.", check=within(1, 10_000)
    )
    rescan_every_s: float = setting(
        30.0,
        unit="seconds",
        why="How often the window is read again for logs that nodes forgot.",
        check=within(0.5, 3600.0),
    )
    window_blocks: int = setting(
        64, unit="blocks", why="How deep a reorg is followed and a re-scan reaches.", check=within(2, 10_000)
    )
    max_range_blocks: int = setting(
        1000,
        unit="blocks",
        why="First try of a backfill request; it halves when a node refuses and grows again.",
        check=within(1, 1_000_000),
    )
    finality_s: float = setting(
        60.0,
        unit="seconds",
        why="A node whose newest finalized block is older than this, or window_blocks behind its head, counts as red.",
        check=within(1.0, 86_400.0),
    )
    leaders_per_subscription: int = setting(
        500, unit="leaders", why="Longer filters are split; nodes refuse very long ones.", check=within(1, 100_000)
    )
    leaders_named: int = setting(
        2000,
        unit="leaders",
        why="With more of them, filters name contracts alone, and what nobody here follows is dropped as it comes.",
        check=within(1, 1_000_000),
    )
    max_message_mib: int = setting(
        32, unit="MiB", why="A bigger frame ends the connection; eth_getLogs replies are large.", check=within(1, 1024)
    )


@frozen(kw_only=True)
class ShardsSettings:
    """How several instances share the accounts; they need a store that they can share, such as [store.redis]."""

    count: int = setting(
        16,
        unit="shards",
        why="Slices of accounts: how finely instances can share them. It cannot be changed while a store is in use.",
        check=within(1, 1024),
    )
    heartbeat_s: float = setting(
        1.0,
        unit="seconds",
        why="How often an instance shows that it lives; a dead one's shards are owned again within three of these.",
        check=within(0.1, 60.0),
    )
    warm: bool = setting(
        False,
        unit="true or false",
        why="Whether an instance also reads the leaders of the others' accounts, so that a takeover need not read the chain again.",
    )
    index: int | None = setting(
        None,
        unit="number from 0",
        why="A fixed part instead of an even share: this one of `of` parts.",
        check=within(0, 1023),
    )
    of: int | None = setting(
        None, unit="parts", why="Into how many fixed parts the shards are cut.", check=within(1, 1024)
    )


@frozen(kw_only=True)
class EndpointSettings:
    """One JSON-RPC node over WebSocket."""

    name: str = setting(attrs.NOTHING, unit="text", why="Shown in the status line; URLs are secrets and are not.")
    url: str = setting(
        attrs.NOTHING,
        unit="ws:// or wss://, env:NAME, file:PATH",
        why="URLs with an API key belong into an environment variable or a 0600 file.",
        secret=True,
    )


@frozen(kw_only=True)
class PluginsSettings:
    """Which installed plugins may be loaded."""

    allow: tuple[str, ...] = setting(
        (), unit="list of distribution names", why="Importing a plugin runs its code; nothing else is imported."
    )


@frozen(kw_only=True)
class DevnetSettings:
    """A node inside this process with a scripted market; for demonstrations, never beside real endpoints."""

    seed: int = setting(1, unit="number", why="The same seed plays the same market.", check=within(0, 2**31))
    block_every_s: float = setting(1.5, unit="seconds", why="Polygon's block time.", check=within(0.01, 60.0))
    fills_per_block: float = setting(
        1.5, unit="fills", why="How busy the leaders are, on average.", check=within(0.0, 1000.0)
    )
    noise_per_block: int = setting(
        6, unit="logs", why="Logs of wallets nobody follows, which the node filters out.", check=within(0, 10_000)
    )
    reorg_at_block: int = setting(
        8, unit="blocks after the start", why="The chain drops two blocks here; 0 for never.", check=within(0, 10**9)
    )
    drop_at_block: int = setting(
        14,
        unit="blocks after the start",
        why="The node cuts its connections here; 0 for never.",
        check=within(0, 10**9),
    )
    decide_at_block: int = setting(
        0,
        unit="blocks after the start",
        why="One of the questions is decided here; 0 for never.",
        check=within(0, 10**9),
    )
    faults: tuple[str, ...] = setting(
        (),
        unit='list of NAME or "NAME=VALUE"',
        why="What the node does wrong all the time; `trio-copy devnet --help` lists the names.",
    )


@frozen(kw_only=True)
class AnvilSettings:
    """A real node beside this process with real venues on it, at which leaders trade by a script; for demonstrations as well."""

    seed: int = setting(1, unit="number", why="The same seed has the same trades.", check=within(0, 2**31))
    block_every_s: int = setting(1, unit="whole seconds", why="How often a block is mined.", check=within(1, 60))
    trade_every_s: float = setting(
        2.0, unit="seconds", why="How long the leaders wait between one trade and the next.", check=within(0.1, 3600.0)
    )


@frozen(kw_only=True)
class LogSettings:
    """A log in a file, as JSON lines, beside what is shown: every step, decision and alert with its identities."""

    file: str = setting("", unit="path of a file", why="Where it is written; empty for nowhere.")
    max_mib: int = setting(
        100,
        unit="MiB",
        why="A larger file is ended and another begun, as it is each UTC day.",
        check=within(1, 100_000),
    )
    keep: int = setting(
        14, unit="files", why="Ended ones that stay, as FILE.1 and so on; older ones go.", check=within(0, 1000)
    )


@frozen(kw_only=True)
class SigningSettings:
    """What this machine remembers of what it signed, and which wallets a person has armed here."""

    folder: str = setting(
        "~/.trio-copy",
        unit="path of a folder",
        why="Kept for ever: without it a key could sign a second body for the same copy. Processes of one machine share it.",
    )

    @property
    def path(self) -> Path:
        """The folder, with ~ written out."""
        return Path(self.folder).expanduser()


@frozen(kw_only=True)
class CatalogSettings:
    """What is known about outcome tokens: questions, events, categories, opposite tokens, end dates."""

    file: str = setting(
        "",
        unit="path of a file of JSON lines",
        why="One token per line; filters by question, caps per question and event, and reverse copies need it.",
    )


@frozen(kw_only=True)
class LevelTable(FollowSettings):
    """What one level sets about follows. The same tables may stand at every level."""

    given: frozenset[str] | None = field(default=None, init=False, eq=False, metadata={"unit": ""})
    """The paths that stand in the file; None for a table that was made in code."""

    def note_given(self, table: Mapping[str, Any]) -> None:
        """Remember which settings somebody wrote down. Called once, by whoever reads the file."""
        paths = {
            f"{name}.{key}" if isinstance(inner, Mapping) else name
            for name, inner in table.items()
            for key in (inner if isinstance(inner, Mapping) else (name,))
        }
        object.__setattr__(self, "given", frozenset(paths))

    @property
    def own(self) -> Layer:
        """What this level sets: what stands in the file or, for a table made in code, what is not a default."""
        known = leaves(FollowSettings)
        # There may be hundreds of thousands of tables, each of which says little.
        given = known if self.given is None else self.given & known.keys()
        values = {path: attrgetter(path)(self) for path in given}
        if self.given is None:
            values = {path: value for path, value in values.items() if value != known[path].default}
        return layer(values)

    def with_value(self, path: str, value: object) -> Self:
        """Return the same level with one value in place of what it says, or does not say, about a setting."""
        name, _, key = path.partition(".")
        changes: dict[str, Any] = {name: attrs.evolve(getattr(self, name), **{key: value}) if key else value}
        return self._saying(attrs.evolve(self, **changes), {entry for entry, _ in self.own} | {path})

    def without(self, path: str) -> Self:
        """Return the same level without a word about a setting."""
        return self._saying(attrs.evolve(self), {entry for entry, _ in self.own} - {path})

    def _saying(self, changed: Self, paths: Collection[str]) -> Self:
        object.__setattr__(changed, "given", frozenset(paths))
        return changed


@frozen(kw_only=True)
class DefaultsTable(LevelTable):
    """What holds for every follow unless a nearer level says otherwise."""


@frozen(kw_only=True)
class LeaderTable(LevelTable):
    """What holds for everybody who follows one leader."""

    address: Address = setting(attrs.NOTHING, unit="address", why="The leader's funding wallet.")


@frozen(kw_only=True)
class FollowerTable(LevelTable):
    """An account that is traded for."""

    id: FollowerId = setting(
        attrs.NOTHING,
        unit="text",
        why='Names the follower in follows, events and records; keep it for ever. "*" is everybody not named.',
    )
    executor: str = setting(attrs.NOTHING, unit="text", why="Which [executor.NAME] trades for it.")
    address: Address | None = setting(
        None, unit="address", why="The wallet that is traded for; paper needs none, and a live wallet brings its own."
    )
    wallet: str | None = setting(
        None,
        unit="text",
        why="Which [wallet.NAME] pays; on paper one without never runs out of money, live there has to be one.",
    )


@frozen(kw_only=True)
class FollowTable(LevelTable):
    """One follower copies one leader."""

    follower: FollowerId = setting(attrs.NOTHING, unit="text", why="The id of a [[follower]].")
    leader: Address = setting(
        attrs.NOTHING, unit="address", why="The wallet whose fills are copied: the funding wallet, not its signing key."
    )

    def as_follow(self) -> Follow:
        return Follow(follower=self.follower, leader=self.leader, own=self.own, source="file")


@frozen(kw_only=True)
class PluginTable:
    """A table `[executor.NAME]`, `[store.NAME]`, `[decoder.NAME]` or `[markets.NAME]`, before its plugin has checked it."""

    name: str
    plugin: str
    """The registered name: NAME itself, or the table's `use`."""
    options: Mapping[str, Any]


@frozen(kw_only=True)
class Settings:
    """The whole configuration."""

    engine: EngineSettings = group(EngineSettings, why="How this process works through signals.")
    chain: ChainSettings = field(metadata={"unit": "table", "why": "How the chain is followed."})
    endpoint: tuple[EndpointSettings, ...] = field(
        default=(), metadata={"unit": "list of tables", "why": "Nodes; two of different operators are better than one."}
    )
    plugins: PluginsSettings = group(PluginsSettings, why="Which installed plugins may be loaded.")
    devnet: DevnetSettings | None = field(
        default=None, metadata={"unit": "table", "why": "Run against a node inside this process instead of endpoints."}
    )
    anvil: AnvilSettings | None = field(
        default=None,
        metadata={"unit": "table", "why": "Run against a real node that is started, and ends, with the run."},
    )
    shards: ShardsSettings | None = field(
        default=None,
        metadata={
            "unit": "table",
            "why": "How several instances share the accounts. A shared store has shards even where this is not said.",
        },
    )
    log: LogSettings = group(LogSettings, why="Where the log goes besides the screen.")
    signing: SigningSettings = group(SigningSettings, why="What this machine remembers of what it signed.")
    catalog: CatalogSettings = group(CatalogSettings, why="What is known about outcome tokens.")
    executor: tuple[PluginTable, ...] = ()
    store: PluginTable
    decoder: tuple[PluginTable, ...] = ()
    markets: tuple[PluginTable, ...] = ()
    defaults: DefaultsTable = group(DefaultsTable, why="What holds for every follow.")
    leader: tuple[LeaderTable, ...] = field(
        default=(), metadata={"unit": "list of tables", "why": "What holds for everybody who follows one leader."}
    )
    wallet: Mapping[str, WalletTable] = field(
        factory=dict, metadata={"unit": "tables", "why": "What followers pay with."}
    )
    fleet: Mapping[str, FleetTable] = field(
        factory=dict, metadata={"unit": "tables", "why": "Operators who send what several wallets do."}
    )
    follower: tuple[FollowerTable, ...] = field(
        default=(), metadata={"unit": "list of tables", "why": "The accounts that are traded for."}
    )
    follow: tuple[FollowTable, ...] = field(
        default=(), metadata={"unit": "list of tables", "why": "Who copies whom, and how."}
    )

    @property
    def brings_chain(self) -> bool:
        """Whether the chain begins and ends with the run: nothing that happens there is about anything outside."""
        return self.devnet is not None or self.anvil is not None

    def followers(self) -> Followers:
        """Return the followers by id."""
        return Followers({table.id: self._follower(table) for table in self.follower})

    def _follower(self, table: FollowerTable) -> Follower:
        wallet = self.wallet.get(table.wallet or "")
        return Follower(
            follower=table.id,
            executor=table.executor,
            address=table.address if wallet is None or not wallet.live else wallet.address,
            own=table.own,
            paper_usd=None if wallet is None else wallet.paper_usd,
            wallet_name="" if wallet is None or not wallet.live else table.wallet or "",
            signature_type=SignatureType.EOA if wallet is None else wallet.signature_type,
            fleet="" if wallet is None or not wallet.live else wallet.fleet or "",
        )

    def live_wallets(self) -> dict[str, WalletTable]:
        """Return the wallets, by name, that followers pay with in mode live; none on paper."""
        if self.engine.mode != "live":
            return {}
        named = {table.wallet for table in self.follower}
        return {name: wallet for name, wallet in self.wallet.items() if wallet.live and name in named}

    def live_fleets(self) -> dict[str, FleetTable]:
        """Return the fleets, by name, that send what live wallets do; none on paper."""
        named = {wallet.fleet for wallet in self.live_wallets().values()}
        return {name: fleet for name, fleet in self.fleet.items() if name in named}

    def follows(self) -> tuple[Follow, ...]:
        """Return the follows of the file."""
        return tuple(table.as_follow() for table in self.follow)

    def terms(self) -> TermsOfFollows:
        """Return what the file's levels say about any follow."""
        leaders = {table.address: table.own for table in self.leader}
        return TermsOfFollows(engine=self.defaults.own, leaders=leaders, followers=self.followers())
