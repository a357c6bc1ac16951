"""The way of an order to the venue and back, over HTTP.

    answers      what an answer to `POST /order` or `DELETE /order` means
    seen, proof  what the venue's trades, the order itself and the chain tell of an order, and what that proves
    looking      asks for all of it
    posting      sends an order's bytes, again where that is safe; cancelling calls it off
    attempt      what is known of an order on its way; learning: what an answer means for it, and asks for besides
    calling      one signed request
    credentials  the API key of a signer; skew: what time the venue has
    balances     what the venue believes that a wallet has; permissions: what it lets a signer do, and from where
    limits       whose turn it is
    stops        what must not be sent at all; stopping tells a person of it; armings: when a person lifted the last of it
    sent         when an order was sent last, and what the venue said of it

What is decided is decided by pure functions; what waits for the network asks them. Decision 0037 says what each answer
means, and what proves an order.
"""
