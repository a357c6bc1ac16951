"""The nonces of one operator: each change of them is decided, applied, and told to whoever waits for it."""

from collections.abc import Callable, Sequence

import trio
from attrs import define, field

from trio_copy.model.ids import IntentKey
from trio_copy_onchain.sending.written import Written
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx import events as e
from trio_copy_onchain.tx.nonces import Nonces


@define(eq=False, kw_only=True)
class Line:
    written: Written
    on_news: Callable[[IntentKey], None]
    nonces: Nonces = field(init=False)
    changed: trio.Event = field(factory=trio.Event)
    """Set once something is not as it is now."""
    _news_of: dict[IntentKey, trio.Event] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.nonces = self.written.read()

    def do(self, command: c.Command) -> Sequence[e.Event]:
        """Carry a command out; what comes of it is at hand, and not put down yet."""
        events = self.nonces.decide(command)
        self.nonces.apply(events)
        if events:
            self._spread(events)
            self.tell_changed()
        return events

    def put(self) -> None:
        """Put down what changed, to be written with the next write of the shard."""
        self.written.put(self.nonces)

    def news_of(self, key: IntentKey) -> trio.Event:
        """Return what is set once something may have become of a key: mined, taken back, given up, ended, paid."""
        return self._news_of.setdefault(key, trio.Event())

    def tell_changed(self) -> None:
        """Wake those who wait for any change."""
        self.changed.set()
        self.changed = trio.Event()

    def _spread(self, events: Sequence[e.Event]) -> None:
        """Wake those who wait for news of a key; where nobody does, whoever asks for it hears that there is something new."""
        for event in events:
            match event:
                case e.Mined(nonce=nonce) | e.Unmined(nonce=nonce):
                    key = self.nonces.bindings[nonce].key
                case e.Ended(key=key) | e.Unsent(key=key) | e.Paid(key=key) | e.Forgotten(key=key):
                    pass
                case _:
                    continue
            if key is None:
                continue
            news, heard = self._news_of.pop(key, None), False
            if news is not None:
                # Whoever has waited for too long is gone, and asks no more.
                heard = bool(news.statistics().tasks_waiting)
                news.set()
            if not heard and isinstance(event, e.Mined | e.Unmined | e.Ended):
                self.on_news(key)
