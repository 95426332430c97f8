"""What searches and runs leave on disk, and how to find it again."""
