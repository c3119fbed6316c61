"""`python -m axk8s` is the command `axk8s`."""

from axk8s.cli import main

if __name__ == "__main__":
    main()
