"""Which model a suite names, and how it becomes a bridge with raw weights and a tokenizer."""
