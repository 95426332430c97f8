"""Differences that strangers planted and an earlier audit passed over; the causes to be named.

`ACCUSED` are faithful, and an earlier audit accused them.
"""

from tests.port_audit.missed import layers, rates

MISSED = {**rates.MISSED, **layers.MISSED}
ACCUSED = {**rates.ACCUSED, **layers.ACCUSED}
LEFT_OUT = layers.LEFT_OUT
SLOW_ADAM = rates.SLOW_ADAM
SHORT = ("decay excluded by name", "AMSGrad", "a warm-up from zero", "noise forgotten")
SHORT_ACCUSED = ("one-cycle",)
