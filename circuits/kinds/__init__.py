"""One file per kind of check: what it asks of the model, and how its row comes from the values."""
