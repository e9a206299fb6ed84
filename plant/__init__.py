"""The vocabulary of the product: pure data and pure functions, no input or output."""
