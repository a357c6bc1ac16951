"""The venue's answers over HTTP/1.1."""

from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import msgspec
import trio
from attrs import define, evolve, field

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.testing.market_server.faults import Ids, VenueFaults
from trio_copy.testing.market_server.messages import BLOCKED, PAGE, Answer, ServerSide
from trio_copy.testing.market_server.venue import ServedVenue
from trio_copy.testing.market_server.wire import (
    Row,
    book_row,
    clob_row,
    gamma_row,
    other_token,
    past_row,
    resolution_row,
    token_row,
    trade_row,
)

_ASKED_KEPT = 1000
_MOST_ROWS = 1000
_MOST_PAST_S = 14 * 86_400
_MOST_TOKENS, _MOST_CONDITIONS = 50, 20

_NONE = {
    "GET /clob/book": "No orderbook exists for the requested token id",
    "GET /clob/clob-markets": "market not found",
}
"""What the venue says where it has no such thing, in its own words."""


@define(eq=False)
class HttpSide:
    venue: ServedVenue
    faults: VenueFaults
    requests: dict[str, int] = field(factory=dict)
    """Requests received, by path; what is below `/clob-markets` counts as one path."""
    asked: deque[tuple[float, str]] = field(factory=lambda: deque(maxlen=_ASKED_KEPT))
    """When each of the last ones was received, in Trio's time, and its target."""

    async def serve(self, stream: trio.abc.Stream, first: bytes) -> None:
        """Answer requests on a connection until it ends; `first` is what was read of it."""
        side = ServerSide(stream)
        side.feed(first)
        while (request := await side.next_request()) is not None:
            faulty = self.faults.of(request.target.split("/")[1])
            faults = self.faults if faulty else VenueFaults()
            answer = self.answer(request.method, request.target, request.body, faults)
            if not await side.send(answer, faults):
                return

    def answer(self, method: str, target: str, body: bytes, faults: VenueFaults) -> Answer:
        """Answer one request."""
        parts = urlsplit(target)
        path, query = parts.path, parse_qs(parts.query)
        if path.startswith("/clob/clob-markets/"):
            path, query = "/clob/clob-markets", {"condition": [path.rsplit("/", 1)[1]]}
        self.requests[path] = self.requests.get(path, 0) + 1
        self.asked.append((trio.current_time(), target))
        told = [] if faults.retry_after_s is None else [(b"Retry-After", str(faults.retry_after_s).encode())]
        if faults.blocked:
            return Answer(403, BLOCKED, PAGE)
        if faults.status is not None:
            return Answer(faults.status, b'{"error":"Too Many Requests"}', headers=told)
        routes: dict[str, Callable[[], object]] = {
            "GET /data/v2/tokens": lambda: {"data": self._tokens(_ids(query, "token_id"), faults)},
            "GET /data/v2/resolutions": lambda: {"data": self._resolutions(_ids(query, "condition"), faults)},
            "GET /data/v2/leaderboard": lambda: self._page(self._leaders(faults), query),
            "GET /data/v2/trades": lambda: self._page(self._trades(query, faults), query),
            "GET /gamma/markets": lambda: self._gamma(query, faults),
            "GET /clob/clob-markets": lambda: self._clob(query["condition"][0], faults),
            "POST /clob/books": lambda: self._books([row["token_id"] for row in msgspec.json.decode(body)], faults),
            "GET /clob/prices-history": lambda: self._past(query, faults),
            "GET /clob/book": lambda: next(iter(self._books(_ids(query, "token_id"), faults, single=True)), None),
        }
        route = routes.get(f"{method} {path}")
        found = None if route is None else route()
        if found is None:
            return Answer(404, msgspec.json.encode({"error": _NONE.get(f"{method} {path}", "not found")}))
        if isinstance(found, Answer):
            return found
        return Answer(200, msgspec.json.encode(found))

    def _tokens(self, ids: list[str], faults: VenueFaults) -> list[Row]:
        assert len(ids) <= _MOST_TOKENS
        rows = []
        for fact in self._facts(ids):
            row = token_row(fact, self.venue.decided, fact.condition_id in self.venue.closed)
            match faults.ids:
                case Ids.WRONG:
                    row["token_id"] = str(other_token(fact.token_id))
                case Ids.TWICE:
                    rows.append({**row, "outcome_index": 1 - fact.slot})
                case Ids.RIGHT:
                    pass
            rows.append(row)
        return rows

    def _gamma(self, query: dict[str, list[str]], faults: VenueFaults) -> list[Row]:
        closed = query["closed"] == ["true"]
        rows = []
        for name in query["condition_ids"]:
            facts = self._question(name.ljust(66, "0"))
            if facts and not self.faults.unlisted and (facts[0].condition_id in self.venue.closed) is closed:
                if faults.ids is Ids.WRONG:
                    facts = [evolve(fact, token_id=other_token(fact.token_id)) for fact in facts]
                rows.append(gamma_row(facts, closed))
        return rows

    def _clob(self, condition: str, faults: VenueFaults) -> Row | None:
        facts = self._question(condition)
        if faults.ids is Ids.WRONG:
            facts = [evolve(fact, token_id=other_token(fact.token_id)) for fact in facts]
        return clob_row(facts) if facts else None

    def _books(self, ids: list[str], faults: VenueFaults, *, single: bool = False) -> list[Row]:
        rows = []
        for fact in self._facts(ids):
            book = self.venue.books.get(fact.token_id)
            if book is None or (self.faults.without_v3 and fact.exchange == 3 and not single):
                continue
            row = book_row(book, fact, faults)
            if faults.ids is Ids.WRONG:
                row["asset_id"] = str(other_token(fact.token_id))
            rows += [row, row] if faults.ids is Ids.TWICE else [row]
        return rows

    def _leaders(self, faults: VenueFaults) -> list[Row]:
        wallets = [wallet if faults.ids is Ids.RIGHT else f"{wallet}00" for wallet in self.venue.best]
        return [{"rank": str(rank), "user_id": wallet} for rank, wallet in enumerate(wallets, 1)]

    def _trades(self, query: dict[str, list[str]], faults: VenueFaults) -> list[Row]:
        """Tell what a wallet traded, the newest first."""
        (wallet,), taken = query["user"], query["taker_only"] == ["true"]
        start, end = (int(query[name][0]) for name in ("start", "end"))
        found = [one for one in self.venue.trades if one.wallet == wallet and start <= one.at <= end]
        found = [one for one in found if not (taken and one.maker)]
        return [trade_row(one, faults) for one in sorted(found, key=lambda one: -one.at)]

    @staticmethod
    def _page(rows: list[Row], query: dict[str, list[str]]) -> Row:
        """Cut out one page; a cursor says where the next one begins, and how long it is."""
        if "cursor" in query:
            assert "limit" not in query
            at, size = map(int, query["cursor"][0].split("-"))
        else:
            at, size = 0, int(query["limit"][0])
            assert size <= _MOST_ROWS
        following = f"{at + size}-{size}" if at + size < len(rows) else None
        return {"data": rows[at : at + size], "pagination": {"limit": size, "next_cursor": following}}

    def _past(self, query: dict[str, list[str]], faults: VenueFaults) -> Row:
        """Tell the last price of each stretch of time, as the venue does."""
        start, end = (int(query[name][0]) for name in ("startTs", "endTs"))
        assert end - start <= _MOST_PAST_S
        stretch = 60 * int(query["fidelity"][0])
        found = {
            round(at) // stretch: (round(at), micro)
            for at, micro in self._past_of(query["market"][0])
            if start <= at <= end
        }
        return {"history": [past_row(at, micro, faults) for at, micro in found.values()]}

    def _past_of(self, token: str) -> list[tuple[float, int]]:
        return self.venue.past.get(TokenId(int(token)), [])

    def _resolutions(self, conditions: list[str], faults: VenueFaults) -> list[Row]:
        assert len(conditions) <= _MOST_CONDITIONS
        known = [name for name in conditions if name in self.venue.questions]
        rows = [resolution_row(name, self.venue.decided.get(name)) for name in known]
        match faults.ids:
            case Ids.WRONG:
                rows = [row | {"condition_id": "0x" + "ee" * 32} for row in rows]
            case Ids.TWICE:
                rows += [row | {"payouts": row["payouts"] and row["payouts"][::-1]} for row in rows]
            case Ids.RIGHT:
                pass
        return rows

    def _facts(self, ids: list[str]) -> list[TokenFacts]:
        found = [self.venue.facts.get(TokenId(int(text))) for text in ids]
        return [fact for fact in found if fact is not None]

    def _question(self, condition: str) -> list[TokenFacts]:
        return [self.venue.facts[token] for token in self.venue.questions.get(condition, ())]


def _ids(query: dict[str, list[str]], name: str) -> list[str]:
    return query[name][0].split(",")
