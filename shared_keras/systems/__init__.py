"""What a model and its training are, as values that belong to no framework."""
