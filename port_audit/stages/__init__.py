"""The eight stages of an audit: a file for each, and for the causes that some of them try."""
