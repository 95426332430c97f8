"""The way into every command: what can be typed, and how a command ends."""
