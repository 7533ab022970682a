"""The paper's tables and studies: runs that can be resumed, and the reports on them."""
