"""Onboarding: which items to show a new user, so that the recommendations are soon right."""
