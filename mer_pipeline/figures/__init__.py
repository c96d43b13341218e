"""Pictures of clips, predictions and runs: the one place where anything is drawn."""
