"""What scripts and the command line share: options, and tasks that are no part of an experiment."""
