"""What a change did: two states of a project's claims, side by side. Nothing is measured."""
