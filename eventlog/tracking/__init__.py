"""What training code touches: runs, their metrics, params and tags, and experiments."""
