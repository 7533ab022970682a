"""What people look at: plots, the report on symbols, model cards, and the upload to the Hub."""
