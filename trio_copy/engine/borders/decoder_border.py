"""The border to decoders: how long one keeps the loop is measured, and what it tells is judged before it is believed.

A decoder that breaks its contract ends the engine, in one line with its name: without it leaders' trades would be lost.
"""

from typing import Any

from attrs import define

from trio_copy.engine.borders.calls import Call, Calls
from trio_copy.errors import PluginBroken
from trio_copy.model.breaches import shown
from trio_copy.model.fills import Fill, NotAFill
from trio_copy.model.logs import RawLog
from trio_copy.model.resolutions import Resolution
from trio_copy.ports import Decoder


@define(eq=False)
class JudgedDecoder:
    """A decoder that keeps its contract, or ends the engine."""

    inner: Decoder
    calls: Calls
    call: Call

    def decode(self, log: RawLog) -> tuple[Fill, ...] | NotAFill | Resolution:
        """Decode a log.

        Raises:
            UndecodableLog: the decoder says so.
            PluginBroken: it told what is no fact.
        """
        began = self.calls.now()
        try:
            decoded: Any = self.inner.decode(log)
        finally:
            self.calls.measure(self.call, began)
        good = _are_fills(decoded) if isinstance(decoded, tuple) else isinstance(decoded, NotAFill | Resolution)
        if not good:
            raise PluginBroken(
                f"{self.call}: expected a tuple of fills, NotAFill or a Resolution, was {shown(decoded)}"
            )
        return decoded  # type: ignore[no-any-return]


def _are_fills(decoded: tuple[object, ...]) -> bool:
    return all(isinstance(one, Fill) for one in decoded)
