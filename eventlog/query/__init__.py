"""What analysis touches: views of the events, and questions to them."""
