"""`python -m mer_pipeline` is `mer`."""

from mer_pipeline.cli import main

if __name__ == "__main__":  # not where another process imports it to do its share of the work
    main()
