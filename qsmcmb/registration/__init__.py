"""Registration of two sessions of one head: rigid, by SimpleITK."""
