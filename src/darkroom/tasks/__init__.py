"""What a competition asks for: kinds of target, activation, metrics, losses, answers."""
