"""Where `ferry` starts."""

import gc


def main() -> None:
    """Run the command. What is imported stays, and to look through it for garbage takes a sixth of the start."""
    gc.disable()
    from bot.cli.commands import app

    gc.freeze()
    gc.enable()
    app(prog_name="ferry")


if __name__ == "__main__":
    main()
