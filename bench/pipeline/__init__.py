"""What the training pipeline costs, and what it was chosen by."""
