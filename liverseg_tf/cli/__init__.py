"""The `liverseg` command: one module per subcommand."""
