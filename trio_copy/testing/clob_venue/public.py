"""What the venue tells everybody, besides what a market server does."""

from collections.abc import Mapping

import msgspec

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.units import decimal_string
from trio_copy.testing.clob_venue.core import ClobVenue
from trio_copy.testing.clob_venue.refusals import NO_BOOK, Refused
from trio_copy.testing.market_server.wire import Row

Query = Mapping[str, str]


def answer_public(venue: ClobVenue, path: str, query: Query) -> object | None:
    """Answer a GET that needs no key; None where it is no such request."""
    match path.removeprefix("/").split("/"):
        case ["ok"]:
            return "OK"
        case ["time"]:
            return int(venue.clock())
        case ["version"]:
            return {"version": 2}
        case ["api", "geoblock"]:
            blocked = venue.faults.geoblocked
            return {"blocked": blocked, "ip": "203.0.113.7", "country": "XX" if blocked else "IE", "region": ""}
        case ["tick-size"]:
            return {"minimum_tick_size": msgspec.Raw(str(_fact(venue, query).tick).encode())}
        case ["neg-risk"]:
            return {"neg_risk": _fact(venue, query).neg_risk}
        case ["fee-rate"]:
            return {"base_fee": 1000 if _fact(venue, query).fee_rate else 0}
        case ["markets-by-token", token]:
            return _question(venue, _fact(venue, {"token_id": token}))
        case ["midpoint" | "price" | "spread" as what]:
            return _priced(venue, what, query)
        case _:
            return None


def _fact(venue: ClobVenue, query: Query) -> TokenFacts:
    token = query.get("token_id", "")
    found = venue.market.facts.get(TokenId(int(token))) if token.isascii() and token.isdigit() else None
    if found is None:
        raise Refused(404, NO_BOOK)
    return found


def _question(venue: ClobVenue, fact: TokenFacts) -> Row:
    tokens = [str(token) for token in venue.market.questions[fact.condition_id]]
    return {"condition_id": fact.condition_id, "primary_token_id": tokens[0], "secondary_token_id": tokens[-1]}


def _priced(venue: ClobVenue, what: str, query: Query) -> Row:
    book = venue.market.books.get(_fact(venue, query).token_id)
    if book is None or not book.bids or not book.asks:
        raise Refused(404, NO_BOOK)
    bid, ask = book.bids[0].price.micro, book.asks[0].price.micro
    micro = {"midpoint": (bid + ask) // 2, "spread": ask - bid, "price": bid if query.get("side") == "BUY" else ask}[
        what
    ]
    return {{"midpoint": "mid"}.get(what, what): decimal_string(micro)}
