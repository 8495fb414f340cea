"""Ids, value types, Protocols, settings, errors and random generators: what every room knows."""
