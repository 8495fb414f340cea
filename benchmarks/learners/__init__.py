"""The family of meta-learners, compared: rankings, ratings, several behaviours, costs."""
