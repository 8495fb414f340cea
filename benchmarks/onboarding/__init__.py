"""What to show and what to ask: benchmarks of onboarding, exploration and policy gradients."""
