"""How an instrument turns the sky into data, forward and adjoint."""
