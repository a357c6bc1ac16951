"""The contracts between the engine and what can be plugged into it, in words: executors, stores, decoders and market sources.

`trio_copy.testing.conformance` is their executable form: every backend passes the same suites.
"""

from trio_copy.model.settings import NoSettings
from trio_copy.ports.decoder import Decoder, DecoderContext, DecoderPlugin, LogFilter, MakeDecoder
from trio_copy.ports.executor import Books, Executor, ExecutorContext, ExecutorPlugin, OpenExecutor, Quotes
from trio_copy.ports.follows import FollowChange, Follows
from trio_copy.ports.markets import Markets, MarketsContext, MarketsPlugin, OpenMarkets, PastPrices, Traders
from trio_copy.ports.store import (
    FORGOTTEN_TOKEN,
    HEAD_KINDS,
    NOBODY,
    Accounts,
    Changes,
    Control,
    CopyStore,
    Document,
    DocumentKey,
    ExportOld,
    Heads,
    History,
    InThread,
    OpenSocket,
    OpenStore,
    Request,
    Store,
    StoreContext,
    StorePlugin,
    nowhere,
    tell_nobody,
    to_thread_run_sync,
)

__all__ = [
    "FORGOTTEN_TOKEN",
    "HEAD_KINDS",
    "NOBODY",
    "Accounts",
    "Books",
    "Changes",
    "Control",
    "CopyStore",
    "Decoder",
    "DecoderContext",
    "DecoderPlugin",
    "Document",
    "DocumentKey",
    "Executor",
    "ExecutorContext",
    "ExecutorPlugin",
    "ExportOld",
    "FollowChange",
    "Follows",
    "Heads",
    "History",
    "InThread",
    "LogFilter",
    "MakeDecoder",
    "Markets",
    "MarketsContext",
    "MarketsPlugin",
    "NoSettings",
    "OpenExecutor",
    "OpenMarkets",
    "OpenSocket",
    "OpenStore",
    "PastPrices",
    "Quotes",
    "Request",
    "Store",
    "StoreContext",
    "StorePlugin",
    "Traders",
    "nowhere",
    "tell_nobody",
    "to_thread_run_sync",
]
