"""The ledger: every setting of both sides, and what settled it. None counts as equal by default."""
