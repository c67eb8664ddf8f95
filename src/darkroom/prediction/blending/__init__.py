"""Several networks' predictions become one: weights, ranks or a linear model, out of fold."""
