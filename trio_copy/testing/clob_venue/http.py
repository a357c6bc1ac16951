"""The venue's answers over HTTP/1.1: which service a request is for, whether it is carried out, and what is said."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import msgspec
import trio
from attrs import define, frozen

from trio_copy.testing.clob_venue.core import ClobVenue
from trio_copy.testing.clob_venue.faults import ClobFaults, OrderAnswer
from trio_copy.testing.clob_venue.private import Call, PrivateSide
from trio_copy.testing.clob_venue.public import answer_public
from trio_copy.testing.clob_venue.record import Answered
from trio_copy.testing.clob_venue.refusals import BY_STATUS, Refused
from trio_copy.testing.market_server.faults import Body
from trio_copy.testing.market_server.http import HttpSide
from trio_copy.testing.market_server.messages import BLOCKED, PAGE, Answer, Request, ServerSide

_MOST_RECORDED = 20_000
_MARKET_PATHS = ("/book", "/books", "/prices-history")
_ORDER_PATHS = ("/order", "/orders", "/cancel-all", "/cancel-market-orders")


@frozen
class _Where:
    host: str
    path: str
    """Without the name of the host, and without the query."""
    query: Mapping[str, str]
    market_target: str | None
    """What a market server calls it; None where it knows no such thing."""


@define(eq=False)
class ClobHttp:
    """All services at one address: with the hosts' names before the paths, as a market server has them, or without."""

    venue: ClobVenue
    market: HttpSide
    private: PrivateSide

    async def serve(self, stream: trio.abc.Stream, first: bytes) -> None:
        """Answer requests on a connection until it ends; `first` is what was read of it."""
        side = ServerSide(stream)
        side.feed(first)
        while (request := await side.next_request()) is not None:
            where = _where(request.target)
            faulty = self.venue.faults.meets(where.host, request.method, where.path)
            faults = self.venue.faults if faulty else ClobFaults()
            if where.host == "clob" and (wait_s := self.venue.limits.wait_s(request.method, where.path)):
                await trio.sleep(wait_s)
            answer = self._answer(request, where, faults)
            if faults.lose_reply or not await side.send(answer, faults):
                return

    def _answer(self, request: Request, where: _Where, faults: ClobFaults) -> Answer:
        if where.market_target is not None:
            try:
                return self.market.answer(request.method, where.market_target, request.body, faults)
            except (LookupError, ValueError, AssertionError, TypeError):
                return _refusal(400, "Invalid payload")
        key = f"/{where.host}{where.path}"
        self.market.requests[key] = self.market.requests.get(key, 0) + 1
        instead = _instead(faults)
        carried_out = instead is None and not faults.stall and not faults.drop
        if carried_out or faults.carried_out:
            answer, order_ids = self._carry_out(request, where)
        else:
            answer, order_ids = Answer(0, b""), ()
        order_ids = order_ids or self.private.ids_in(request.method, where.path, request.body)
        self._record(request, where, answer, order_ids, faults, instead)
        return instead or answer

    def _carry_out(self, request: Request, where: _Where) -> tuple[Answer, tuple[str, ...]]:
        """Do what was asked, and return the answer and the order that was taken, where that is known already."""
        try:
            found, headers = self._found(request, where)
        except Refused as refusal:
            return _refused(refusal), ()
        except (LookupError, ValueError, RecursionError):
            return _refusal(400, "Invalid payload"), ()
        # The answer itself may name another order, on purpose; the record does not.
        truthful = self.venue.faults.order_answer is not OrderAnswer.OTHER_ID
        told = found.get("orderID") if truthful and isinstance(found, dict) else None
        return Answer(200, msgspec.json.encode(found), headers=headers), (told,) if told else ()

    def _found(self, request: Request, where: _Where) -> tuple[object, list[tuple[bytes, bytes]]]:
        method, path, headers = request.method, where.path, request.headers
        keys = self.venue.keys
        if method == "GET":
            public = answer_public(self.venue, path, where.query)
            if public is not None:
                return public, []
        if (method, path) in (("POST", "/auth/api-key"), ("GET", "/auth/derive-api-key")):
            key = keys.create(headers) if method == "POST" else keys.derive(headers)
            return {"apiKey": key.key, "secret": key.secret, "passphrase": key.passphrase}, []
        act = self.private.route(method, path)
        if act is None:
            raise Refused(404, "not found")
        caller = keys.caller(headers, method, path, request.body)
        found = act(Call(key=caller, path=path, query=where.query, body=request.body))
        if path not in _ORDER_PATHS:
            return found, []
        return found, self.venue.limits.headers(caller.address, "orders" if method == "POST" else "cancels")

    def _record(
        self,
        request: Request,
        where: _Where,
        answer: Answer,
        order_ids: tuple[str, ...],
        faults: ClobFaults,
        instead: Answer | None,
    ) -> None:
        text = ""
        if answer.status not in (0, 200):
            text = msgspec.json.decode(answer.body)["error"]
        self.venue.record.add(
            Answered(
                at_ms=int(self.venue.now() * 1000),
                method=request.method,
                path=where.path,
                signer=request.headers.get("poly_address", ""),
                status=answer.status,
                text=text,
                order_ids=order_ids,
                lost=faults.lose_reply
                or faults.stall
                or faults.drop
                or instead is not None
                or faults.body is not Body.RIGHT,
                body=request.body[:_MOST_RECORDED].decode(errors="replace"),
            )
        )


def _instead(faults: ClobFaults) -> Answer | None:
    """Return what is answered whatever was asked; None where nothing of the kind is."""
    told = [] if faults.retry_after_s is None else [(b"Retry-After", str(faults.retry_after_s).encode())]
    if faults.blocked:
        return Answer(403, BLOCKED, PAGE)
    if faults.status is not None:
        answer = _refusal(faults.status, faults.text or BY_STATUS.get(faults.status, "refused"))
        answer.headers += told
        return answer
    if faults.text is None or faults.order_answer is OrderAnswer.ERROR:  # whose refusal does not look like one
        return None
    return _refusal(400, faults.text)


def _refusal(status: int, text: str) -> Answer:
    return Answer(status, msgspec.json.encode({"error": text}))


def _refused(refusal: Refused) -> Answer:
    more = dict(refusal.more)
    waits = more.get("retry_after_seconds", more.pop("retry_after_s", None))
    answer = Answer(refusal.status, msgspec.json.encode({"error": refusal.text, **more}))
    if waits is not None:
        answer.headers.append((b"Retry-After", str(waits).encode()))
    return answer


def _where(target: str) -> _Where:
    try:
        parts = urlsplit(target)
    except ValueError:
        return _Where("clob", "", {}, None)  # brackets that are none: nobody answers it
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    path, rest = parts.path, f"?{parts.query}" if parts.query else ""
    if path.startswith(("/data/v2/", "/gamma/")):
        host, path = path[1:].split("/", 1)
        return _Where(host, f"/{path}", query, target)
    if path.startswith("/v2/"):
        return _Where("data", path, query, f"/data{target}")
    if path == "/markets" and "condition_ids" in query:
        return _Where("gamma", path, query, f"/gamma{target}")
    path = path.removeprefix("/clob") if path.startswith("/clob/") else path
    of_market = path in _MARKET_PATHS or path.startswith("/clob-markets/")
    return _Where("clob", path, query, f"/clob{path}{rest}" if of_market else None)
