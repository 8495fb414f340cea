"""The HTTP service: durable events, lists that know the last of them, models that are exchanged."""
