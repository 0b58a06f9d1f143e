"""What text is shown: prompt families, and what the model sees of them. No torch."""
