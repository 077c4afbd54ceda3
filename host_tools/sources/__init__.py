"""Where sealed envelopes come from. A source hands out messages and takes back what became of them."""
