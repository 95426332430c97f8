"""What Hyperband decides: which trials there are, what each tries, which are promoted."""
