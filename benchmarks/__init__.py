"""Measurements of the promises: one folder a task, settings in, one JSON a result out."""
