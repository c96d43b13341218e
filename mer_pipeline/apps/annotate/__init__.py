"""The page of `mer annotate`: people mark expressions in films, and what they mark is a dataset."""
