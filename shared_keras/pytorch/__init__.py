"""PyTorch: the twin of each system, and weights in both directions."""
