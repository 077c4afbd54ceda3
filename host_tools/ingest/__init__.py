"""What comes in: broker, gateway, batches read with every limit checked, and the store."""
