"""Registration of two sessions of one head: rigid, by SimpleITK."""

__all__: tuple[str, ...] = ()
