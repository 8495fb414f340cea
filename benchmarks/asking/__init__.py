"""What language models add to asking and to ranking, measured."""
