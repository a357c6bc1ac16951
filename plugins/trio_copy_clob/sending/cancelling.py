"""Calls an order off. It may be repeated, and proves nothing: what came of the order, a look at it tells."""

from collections.abc import Awaitable, Callable

import msgspec
import trio
from attrs import define

from trio_copy.entropy import Entropy
from trio_copy.errors import ExecutorError
from trio_copy.model.orders import Order
from trio_copy_clob.pacing import Growing
from trio_copy_clob.sending.answers import Cancelled, read_cancelled
from trio_copy_clob.sending.calling import NoReply
from trio_copy_clob.sending.credentials import NoKey, VenueSigner
from trio_copy_clob.sending.limits import Turns, rest_after

PATH = "/order"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


@define(eq=False, kw_only=True)
class Cancelling:
    address_turns: Turns
    entropy: Entropy
    stop_egress: Callable[[str], Awaitable[None]]
    """Nothing can be called off from here, nor sent; see `Stopping.stop_egress`."""

    async def cancel(self, order: Order, signer: VenueSigner, until: float) -> None:
        """Take an order off the book, until a moment of Trio's clock; one that is gone, or held, is left as it is.

        Raises:
            ExecutorError: nobody answers in time, or not with what can be understood.
        """
        body = msgspec.json.encode({"orderID": order.order_id})
        pauses, why, asked_who = Growing(_FIRST_PAUSE_S, _LONGEST_PAUSE_S), "no time left", False
        with trio.CancelScope(deadline=until):
            while True:
                # As exits do: what is called off makes room for one.
                await signer.limits.cancels.wait(is_exit=True)
                await self.address_turns.wait(is_exit=True)
                key = await signer.key(until)
                if isinstance(key, NoKey) and key.blocked:
                    why = key.why
                    await self.stop_egress(why)
                    break
                reply = await signer.ask("DELETE", PATH, until=until, content=body)
                if isinstance(reply, NoReply):
                    why = reply.why
                else:
                    means, why, after_s = read_cancelled(
                        reply.status, reply.headers, reply.body, order_id=order.order_id, now=signer.wall()
                    )
                    match means:
                        case Cancelled.DONE | Cancelled.HELD:
                            return
                        case Cancelled.REFUSED | Cancelled.KEY:
                            break
                        case Cancelled.BETWEEN if not asked_who and not isinstance(key, NoKey):
                            asked_who = True
                            if not isinstance(found := await signer.asked_who(key, until), NoKey):
                                continue
                            why = f"{why}; {found.why}"
                            if not found.refused:
                                await self.stop_egress(why)
                            break
                        case Cancelled.BETWEEN:
                            break
                        case Cancelled.BLOCKED:
                            await self.stop_egress(why)
                            break
                        case Cancelled.AGAIN if after_s is not None:
                            rest_after(reply.status, reply.headers, after_s, signer.limits.cancels, self.address_turns)
                await trio.sleep(pauses.next_s(self.entropy))
        raise ExecutorError(f"order {order.order_id} is not called off: {why}")
