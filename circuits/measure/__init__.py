"""Numbers from the model: attention, ablations and their metrics, each measured once and kept."""
