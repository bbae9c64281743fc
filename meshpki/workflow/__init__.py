"""Steps, gates and plans, and the engine that runs them."""
