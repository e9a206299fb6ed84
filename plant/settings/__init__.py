"""Settings of the figures: tables of the site file that hold no cross-reference to its graph but names.

A model here is both the shape of the text and the value that the analytics read. ``faults`` yields key, what was found and
what is allowed, of what does not fit the rest of the file.
"""
