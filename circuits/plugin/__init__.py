"""The pytest plugin in parts: options, collection, items, progress, the session, its summary, xdist."""
