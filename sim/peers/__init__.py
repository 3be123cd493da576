"""Other open generators, made to do what ours does."""
