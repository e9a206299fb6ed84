"""The four roles of a plant's program."""

ROLES = ("collect", "analyse", "alert", "serve")
