"""What the numbers mean: from text and images to tensors, and back to answers."""
