"""What the demo page computes and draws, without the page itself."""
