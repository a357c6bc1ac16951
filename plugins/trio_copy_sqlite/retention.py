"""What is forgotten, and when. The ledger is kept for ever."""

import sqlite3

from attrs import define

_DAY_S = 86_400.0
_ROWS_AT_ONCE = 500
"""Rows that one round deletes at most, so that housekeeping never holds a trade up."""
_OLD_SIGNALS = (
    "SELECT signal_id FROM signals s WHERE admitted_at < ? AND NOT EXISTS"
    " (SELECT 1 FROM tasks t WHERE t.signal_id = s.signal_id) ORDER BY admitted_at LIMIT ?"
)


@define
class Retention:
    keep_days: float
    dedup_ttl_s: float

    def forget(self, connection: sqlite3.Connection, now: float) -> None:
        """Delete some of what is too old: ended tasks, skips, orders, budgets of days that are over, signals."""
        before = now - self.keep_days * _DAY_S
        signals = now - max(self.dedup_ttl_s, self.keep_days * _DAY_S)
        for statement, limit in (
            (
                "DELETE FROM tasks WHERE seq IN (SELECT seq FROM tasks WHERE state = 'ended' AND ended_at < ? LIMIT ?)",
                before,
            ),
            ("DELETE FROM skips WHERE seq IN (SELECT seq FROM skips WHERE at < ? LIMIT ?)", before),
            ("DELETE FROM settled WHERE key IN (SELECT key FROM settled WHERE at < ? LIMIT ?)", before),
            (
                "DELETE FROM order_members WHERE key IN"
                " (SELECT key FROM orders WHERE state = 'ended' AND ended_at < ? LIMIT ?)",
                before,
            ),
            (
                "DELETE FROM orders WHERE key IN (SELECT key FROM orders WHERE state = 'ended' AND ended_at < ? LIMIT ?)",
                before,
            ),
            ("DELETE FROM counters WHERE counter IN (SELECT counter FROM counters WHERE until < ? LIMIT ?)", now),
            (f"DELETE FROM signal_blocks WHERE known_as IN ({_OLD_SIGNALS})", signals),
            (f"DELETE FROM signals WHERE signal_id IN ({_OLD_SIGNALS})", signals),
        ):
            connection.execute(statement, (limit, _ROWS_AT_ONCE))
