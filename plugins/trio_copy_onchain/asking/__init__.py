"""What is asked of nodes for a wallet's transactions, and how far their answers are believed.

The readers of `tx` say what one answer means; here are the connections, the time there is, and the nodes that disagree. A
node's nonsense is no answer of it. No clock is read but Trio's.
"""
