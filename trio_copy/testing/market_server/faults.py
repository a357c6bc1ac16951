"""What a venue may do wrong, by name: each was met at a real one, or is what a hostile one would try. Set them while it runs."""

from enum import StrEnum

from attrs import define, fields

from trio_copy.testing.devnet.words import manner


class Body(StrEnum):
    """What stands in an answer."""

    RIGHT = "right"
    GARBAGE = "garbage"
    """Bytes that are no JSON."""
    TRUNCATED = "truncated"
    """The first half, as if it were all."""
    CUT = "cut"
    """The first half, and then the connection ends."""
    PAGE = "page"
    """A page of HTML."""
    CRUMBS = "crumbs"
    """JSON that only costs time: a list of zeros without end."""
    HUGE = "huge"
    """More bytes than anybody would read."""
    ENDLESS_HEAD = "endless_head"
    """Headers that never end."""
    PACKED = "packed"
    """In a coding that nobody asked for."""


class Ids(StrEnum):
    """Whose answer is given."""

    RIGHT = "right"
    WRONG = "wrong"
    """That of somebody nobody asked about."""
    TWICE = "twice"
    """Two that differ."""


class Order(StrEnum):
    """How the levels of books come."""

    BEST_LAST = "best_last"
    """As the venue writes them."""
    SHUFFLED = "shuffled"
    CROSSED = "crossed"
    """With a bid above the best ask."""
    UNREADABLE = "unreadable"
    """With a price that is none."""


@define(eq=False)
class VenueFaults:
    """What this venue does wrong."""

    # Answers
    host: str = manner("all", 'which server the faults of answers are of: data, gamma, clob or "all"')
    requests: int = manner(0, "so many requests only, and then answers rightly; 0 for all", least=-1)
    stall: bool = manner(False, "reads requests and answers none")
    drop: bool = manner(False, "ends the connection instead of answering")
    status: int | None = manner(None, "answers with this HTTP status", bare=500)
    retry_after_s: int | None = manner(None, "asks to be left alone for so long where it refuses", bare=2)
    blocked: bool = manner(False, "answers with the page with which Cloudflare keeps regions out")
    body: Body = manner(Body.RIGHT, "what stands in answers", bare=Body.GARBAGE)
    ids: Ids = manner(Ids.RIGHT, "whom answers are about", bare=Ids.WRONG)
    order: Order = manner(Order.BEST_LAST, "how the levels of books come", bare=Order.SHUFFLED)
    json_numbers: bool = manner(False, "writes prices and sizes as JSON numbers")
    unlisted: bool = manner(False, "Gamma knows no market yet")
    without_v3: bool = manner(False, "POST /books leaves out the tokens of exchange V3")
    close_each: bool = manner(False, "ends each connection after one answer")

    # The market channel
    refuse_channel: int | None = manner(None, "refuses the market channel with this HTTP status", bare=503)
    deaf: bool = manner(False, "says nothing on the market channel, not even PONG")
    mute: bool = manner(False, "says nothing but PONG on the market channel")
    channel_garbage: bool = manner(False, "tells garbage between the events of the market channel")
    lying_best: bool = manner(False, "changes tell best prices that differ from the levels they tell")
    lone_objects: bool = manner(False, "frames hold one object instead of a list")
    flood: int = manner(0, "tells each change with so many more of tokens that nobody asked for", bare=1000)

    def clear(self) -> None:
        """Behave from now on."""
        for fault in fields(type(self)):
            setattr(self, fault.name, fault.default)

    def of(self, host: str) -> bool:
        """Tell whether an answer of a server is to be faulty, and count it."""
        if self.host not in ("all", host) or self.requests < 0:
            return False
        if self.requests:
            self.requests = self.requests - 1 or -1
        return True
