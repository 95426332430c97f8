"""What the layers of both frameworks are, and models that can be run and watched."""
