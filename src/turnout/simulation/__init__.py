"""What a rollout will take and what it risks, before one starts: the shipped tests on thousands of made-up rollouts."""
