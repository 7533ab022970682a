"""One file for each published data set, from its release format to a corpus."""
