"""What people look at: tables, plots, the report on symbols, model cards, and the upload to the Hub."""
