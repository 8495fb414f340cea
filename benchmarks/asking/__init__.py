"""What is understood of people's own words: requests and reviews, with and without a model."""
