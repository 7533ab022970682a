"""Writing files that survive a kill: complete or not there, or continued where an earlier process stopped."""
