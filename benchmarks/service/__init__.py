"""What the service and its store keep up with; see `http` and `store`."""
