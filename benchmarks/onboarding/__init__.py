"""Which questions to ask a new user."""
