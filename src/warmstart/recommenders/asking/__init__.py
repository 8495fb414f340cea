"""From a request in somebody's own words to a list out of the catalogue, and back to words."""
