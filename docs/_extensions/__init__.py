"""Extensions of Sphinx that this site uses."""
