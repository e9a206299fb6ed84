"""Proof on the user's own machine: a throw-away plant under faults."""
