"""What searches and runs leave on disk, and how it is found again."""
