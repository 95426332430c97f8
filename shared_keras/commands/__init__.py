"""The commands: one file, one verb, each with `run(task, args)`."""
