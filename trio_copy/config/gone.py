"""Settings of earlier versions that are no more, and what to do instead: whoever kept his file is told what changed."""

from collections.abc import Mapping

_DELETE = "delete this line"

GONE: Mapping[str, str] = {
    "engine.lease_s": f"is gone: tasks are not leased any more, their shard is, for 2.5 of shards.heartbeat_s; {_DELETE}",
    "shards.replicas": "is gone: write warm = true instead of 2 or more, and nothing instead of 1",
    "store.memory.dedup_max": f"is gone: signals are known for engine.dedup_ttl_s; {_DELETE}",
    "store.memory.ended_max": "is gone: write facts_max, which bounds all that is remembered of what is over",
    "store.memory.history_max": "is gone: write facts_max, which bounds all that is remembered of what is over",
    "store.redis.keep_s": "is gone: write keep_days, how long what is over is kept",
    "store.redis.history_max": "is gone: write facts_max, which bounds all that is remembered of what is over",
    "store.redis.deliveries": f"is gone: what was under way three times when a process ended is a dead letter; {_DELETE}",
}
"""By path; each is a file's problem, because what it asked for is not done."""
