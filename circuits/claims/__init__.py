"""What is asserted: suites of claims, read from YAML with every fault at its place. No torch, no numpy."""
