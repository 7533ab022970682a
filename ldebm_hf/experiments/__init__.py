"""The paper's tables and other experiments: runs that can be resumed, what they need, and the reports on them."""
