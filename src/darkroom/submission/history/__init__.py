"""Every submission, its local score and its leaderboard scores."""
