"""Networks by name, their heads, their first weights, and the device they compute on."""
