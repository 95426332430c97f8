"""The stages of an audit: a file each, with a function from a pair to what it found."""
