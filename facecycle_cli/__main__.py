"""Entry point of ``facecycle`` and of ``python -m facecycle_cli``."""


def main() -> None:
    """Run the command line."""
    from facecycle_cli.cli import app

    app(prog_name="facecycle")


if __name__ == "__main__":
    main()
