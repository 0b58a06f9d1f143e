"""All heads of a model against all questions of its prompts: what there is to claim, and a suite of candidates."""
