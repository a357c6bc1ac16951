"""What stands between the engine and plugins: each call is watched, and each answer is judged before it is believed."""
