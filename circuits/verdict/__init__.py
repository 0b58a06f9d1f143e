"""What the numbers say: estimates with intervals, rows, verdicts. No torch."""
