"""Programs that measure speed and accuracy and print a dated report."""
