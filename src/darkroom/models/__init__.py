"""Networks by name, their heads, their initial weights, and the device they compute on."""
