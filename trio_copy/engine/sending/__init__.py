"""From a lane to what is proven of an order, and what leads out of a position."""
