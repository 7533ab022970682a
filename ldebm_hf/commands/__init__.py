"""The commands: one file for each of `ldebm`, which the script of examples/ runs too, and what they share.

Such a file has `build_parser`, the function that does what its options ask for, `main`, and in `CONTINUES` how the
command is continued after an interruption.
"""
