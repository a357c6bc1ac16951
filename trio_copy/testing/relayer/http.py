"""The relayer's answers over HTTP/1.1."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import trio
from attrs import define, field

from trio_copy.model.ids import parse_address
from trio_copy.testing.market_server.messages import BLOCKED, PAGE, Answer, Request, ServerSide
from trio_copy.testing.relayer.core import Relayer, Taken
from trio_copy.testing.relayer.faults import RelayerFaults
from trio_copy.testing.relayer.keys import check_caller
from trio_copy.testing.relayer.refusals import INVALID, Refused
from trio_copy.testing.relayer.requests import read_submitted

_PARAMS, _PAYLOAD, _SUBMIT = "/v1/account/transactions/params", "/relay-payload", "/submit"
_TRANSACTIONS = "/v1/account/transactions/"
Row = dict[str, Any]


@define(eq=False)
class RelayerHttp:
    relayer: Relayer
    nursery: trio.Nursery
    """Carries what is taken, whatever becomes of the connection that brought it."""
    asked: list[tuple[str, str, int]] = field(factory=list)
    """Method, path and status of each request, in order; the status is 0 where the answer was lost."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Answer requests on a connection until it ends."""
        side = ServerSide(stream)
        while (request := await side.next_request()) is not None:
            path = urlsplit(request.target).path
            faults = self.relayer.faults if self.relayer.faults.meets(path) else RelayerFaults()
            answer = await self._answer(request, path, faults)
            lost = faults.lose_reply or faults.stall or faults.drop
            self.asked.append((request.method, path, 0 if lost else answer.status))
            if faults.lose_reply or not await side.send(answer, faults):
                return

    async def _answer(self, request: Request, path: str, faults: RelayerFaults) -> Answer:
        instead = _instead(faults)
        if (instead is not None or faults.stall or faults.drop) and not faults.carried_out:
            return instead or Answer(0, b"")
        try:
            answer = Answer(200, msgspec.json.encode(await self._found(request, path)))
        except Refused as refusal:
            answer = _refusal(refusal.status, refusal.text)
        except (LookupError, ValueError, RecursionError):
            answer = _refusal(400, INVALID)
        return instead or answer

    async def _found(self, request: Request, path: str) -> Row:
        relayer, method = self.relayer, request.method
        check_caller(relayer.keys, request.headers, method, path, request.body, relayer.now())
        query = dict(parse_qsl(urlsplit(request.target).query))
        if (method, path) == ("POST", _SUBMIT):
            taken = await relayer.take(read_submitted(request.body), self.nursery)
            return {"transactionID": taken.transaction_id, "state": taken.state, "transactionHash": ""}
        if method == "GET" and path in (_PARAMS, _PAYLOAD):
            if (query["type"] == "PROXY") is not (path == _PAYLOAD):
                raise Refused(400, INVALID)
            address, nonce = await relayer.params(query["type"], parse_address(query["address"]))
            return {"address": address, "nonce": str(nonce)}
        if method == "GET" and path.startswith(_TRANSACTIONS):
            known = relayer.taken.get(path.removeprefix(_TRANSACTIONS))
            if known is not None:
                return self._row(known)
        raise Refused(404, "not found")

    def _row(self, taken: Taken) -> Row:
        told = "" if self.relayer.faults.mute else taken.tx_hash or ""
        return {
            "transaction_id": taken.transaction_id,
            "state": taken.state,
            "transaction_hash": told,
            "error_msg": taken.error,
            "owner": taken.submitted.owner,
        }


def _instead(faults: RelayerFaults) -> Answer | None:
    """Return what is answered whatever was asked; None where nothing of the kind is."""
    if faults.blocked:
        return Answer(403, BLOCKED, PAGE)
    if faults.status is None and faults.text is None:
        return None
    answer = _refusal(faults.status or 400, faults.text or "Internal server error")
    if faults.retry_after_s is not None:
        answer.headers.append((b"Retry-After", str(faults.retry_after_s).encode()))
    return answer


def _refusal(status: int, text: str) -> Answer:
    return Answer(status, msgspec.json.encode({"error": text}))
