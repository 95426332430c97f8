"""Differences that strangers planted and an earlier audit passed over; the causes to be named.

`MISSED` are these; `ACCUSED` are faithful, and an earlier audit accused them; what is named of
`LEFT_OUT`, no stage can measure. The `SHORT` ones are quick, and run more often.
"""

from tests.port_audit.missed import layers, rates

assert not rates.MISSED.keys() & layers.MISSED.keys()
assert not rates.ACCUSED.keys() & layers.ACCUSED.keys()
MISSED = {**rates.MISSED, **layers.MISSED}
ACCUSED = {**rates.ACCUSED, **layers.ACCUSED}
LEFT_OUT = layers.LEFT_OUT
SLOW_ADAM = rates.SLOW_ADAM
SHORT = ("decay excluded by name", "AMSGrad", "a warm-up from zero", "noise forgotten")
SHORT_ACCUSED = ("one-cycle",)
