"""What bytes an order is: amounts, digest, signature, body, headers. Pure; nothing here knows a clock or a connection."""
