"""Language models: they parse and explain, and never choose; the catalogue chooses."""
