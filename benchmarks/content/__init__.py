"""What content is worth: items that nobody has met, by text, posters, categories and people."""
