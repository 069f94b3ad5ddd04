"""What the subcommands do, as functions over arrays and iterators of frames."""
