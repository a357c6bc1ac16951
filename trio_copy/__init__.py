"""Copy-trading engine on Trio: a leader's fill goes in, exactly one copy per follower comes out."""

__version__ = "0.1.0"
