"""Where the story of some shards starts: below the stored checkpoint, or at the head when there is none."""

from trio_copy.chain.agreement import Agreement
from trio_copy.chain.endpoints import EndpointPool
from trio_copy.errors import ChainError, CheckpointAhead
from trio_copy.model.counts import counted
from trio_copy.model.logs import BlockRef, Checkpoint

HOPELESS_WINDOWS = 10
"""A node that is so many windows behind the checkpoint does not come to it while somebody waits."""


async def starting_block(
    checkpoint: Checkpoint | None, agreement: Agreement, pool: EndpointPool, window_blocks: int
) -> BlockRef:
    """Return the block behind which reading starts.

    Raises:
        CheckpointAhead: no node will come to the checkpoint soon.
        ChainError: no node answers, or none has come to the checkpoint yet.
    """
    head = await agreement.head()
    agreement.start(head)
    if checkpoint is None:
        return head
    ahead = checkpoint.number - head.number
    best = max((endpoint.head.number for endpoint in pool.live if endpoint.head is not None), default=-1)
    if checkpoint.number - max(best, head.number) > HOPELESS_WINDOWS * window_blocks:
        raise CheckpointAhead(
            f"the checkpoint {checkpoint.number} is {counted(ahead, 'block')} ahead of the nodes, whose head is {head.number}: "
            "use a node that is in step, or start with --from-head; what was traded in between is then not copied"
        )
    if ahead > 0:
        raise ChainError(
            f"the node's head {head.number} is behind the checkpoint {checkpoint.number}; "
            "wait for it, or start with --from-head"
        )
    # The window below the checkpoint is read again: nodes answered [] for blocks that they had not indexed yet, and
    # a reorg may have happened while nobody looked. The gate drops the doubles. Where the story began is kept.
    below = max(0, checkpoint.armed_at, checkpoint.number - window_blocks)
    return await agreement.at(below)
