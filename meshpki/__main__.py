"""`python -m meshpki`, and the console script."""

import sys


def main() -> None:
    """Run meshpki; `--version` alone is answered before anything is imported."""
    if sys.argv[1:] == ["--version"]:
        from meshpki import __version__  # noqa: PLC0415 - a millisecond instead of fifty

        sys.stdout.write(f"meshpki {__version__}\n")
        return
    from meshpki.cli.app import run  # noqa: PLC0415 - after the fast path above

    sys.exit(run())


if __name__ == "__main__":
    main()
