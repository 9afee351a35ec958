"""What the offline gate stops and lets pass."""
