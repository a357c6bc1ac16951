"""Puts a service together; each object is whole once it is made, and nothing is set into it later."""
