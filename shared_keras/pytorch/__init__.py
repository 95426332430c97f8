"""PyTorch: the twin of each system, and weights both ways."""
