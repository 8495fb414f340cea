"""What remedies against bias cost, measured."""
