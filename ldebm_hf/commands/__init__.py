"""What the command line needs besides the library: shared options, and the tasks that several scripts have in common."""
