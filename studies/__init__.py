"""Programs that find something out about faces, networks or numbers, each with a dated report in `studies/reports/`."""
