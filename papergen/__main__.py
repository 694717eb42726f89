"""`python -m papergen`."""

from papergen.cli.main import main

if __name__ == "__main__":
    main()
