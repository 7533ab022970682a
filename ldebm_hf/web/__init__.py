"""What the demo page does, without the page itself."""
