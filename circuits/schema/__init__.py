"""The claim language as JSON Schema, for editors, and as a reference page, for people. No torch, no numpy."""
