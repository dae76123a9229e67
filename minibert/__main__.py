"""`python -m minibert` is `minibert`, where scripts are not on the path."""

from minibert.cli.main import main

if __name__ == "__main__":
    main()
