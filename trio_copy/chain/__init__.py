"""Raw JSON-RPC over WebSocket: what the nodes say becomes `RawLog`s, each seen at least once, none missed."""
