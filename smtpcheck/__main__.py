"""`python -m smtpcheck`."""

from smtpcheck.cli import main

if __name__ == "__main__":
    main()
