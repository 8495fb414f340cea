"""Advertisements: click and conversion models that learn a new user and a new ad fast."""
