"""The commands of `circuits`, one module each: ``add`` describes its arguments, ``run`` does it and returns the status."""
