"""What people call leaders: shown where an address would stand, and told instead of one."""

import re
from collections.abc import Collection, Iterable, Iterator

from attrs import define, field

from trio_copy.model.follow_columns import AT_ONCE, FollowColumns
from trio_copy.model.follows import Follow, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.slices import slices

NAME = "name"
"""The setting that says it, of a leader or of a follow."""
_ADDRESS = re.compile(r"(?<![0-9a-zA-Z])0x[0-9a-fA-F]{40}(?![0-9a-zA-Z])")


@define(eq=False)
class LeaderNames:
    """The name of a leader's own table goes before those that follows give him."""

    _of_tables: dict[Address, str] = field(factory=dict)
    _of_follows: dict[Address, str] = field(factory=dict)
    _called: dict[str, set[Address]] = field(factory=dict)
    """Whoever has a name, in whatever letter case, and by whatever follow: also where another one is shown."""

    def learn(self, terms: TermsOfFollows, *books: Collection[Follow]) -> None:
        """Take over what the configuration and all follows say now; what the later books say counts for more."""
        for _ in self.learn_in_slices(terms, *books):
            pass

    def learn_in_slices(
        self, terms: TermsOfFollows, *books: Collection[Follow], at_once: int = AT_ONCE
    ) -> Iterator[None]:
        """Do as `learn` does, so many at once. Between two slices all names are as before; what is noted then is not taken over."""
        fresh = LeaderNames()
        for leaders in slices(terms.leaders.items(), at_once):
            for leader, own in leaders:
                name = dict(own).get(NAME)
                if name:
                    fresh._of_tables[leader] = name
                    fresh._note(name, leader)
            yield
        for book in books:
            named_by = dict[Address, FollowerId]()
            for named in _that_name(book, at_once):
                for follow in named:
                    name = dict(follow.own).get(NAME)
                    if name:
                        fresh._note(name, follow.leader)
                        # Of several that name one leader, the last by follower.
                        if follow.follower >= named_by.get(follow.leader, ""):
                            named_by[follow.leader] = follow.follower
                            fresh._of_follows[follow.leader] = name
                yield
        self._of_tables, self._of_follows, self._called = fresh._of_tables, fresh._of_follows, fresh._called

    def note(self, follow: Follow) -> None:
        """Take over what one follow says, the newest one of its leader."""
        name = dict(follow.own).get(NAME)
        if name:
            self._of_follows[follow.leader] = name
            self._note(name, follow.leader)

    def _note(self, name: str, leader: Address) -> None:
        self._called.setdefault(name.casefold(), set()).add(leader)

    def of(self, leader: str) -> str | None:
        """Return what a leader is called."""
        return self._of_tables.get(Address(leader)) or self._of_follows.get(Address(leader))

    def called(self, name: str) -> list[Address]:
        """Return all leaders of a name."""
        return sorted(self._called.get(name.casefold(), ()))

    def known(self) -> Collection[str]:
        """Return every name, in small letters."""
        return self._called.keys()

    def in_text(self, text: str) -> str:
        """Put the names of leaders before their addresses in a text, and shorten those."""
        return _ADDRESS.sub(self._named, text) if self._called else text

    def _named(self, found: re.Match[str]) -> str:
        address = found[0].lower()
        name = self.of(address)
        return found[0] if name is None else f"{name} ({address[:6]}..{address[-4:]})"


def _that_name(follows: Collection[Follow], at_once: int) -> Iterator[Iterable[Follow]]:
    """Yield the follows that may name their leader, in slices."""
    if isinstance(follows, FollowColumns):
        yield from follows.that_set(NAME, at_once)
    else:
        yield from slices(follows, at_once)
