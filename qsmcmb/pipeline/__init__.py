"""The only place where stages meet: one scan (`subject`), all sessions (`study`), what is written (`outputs`)."""
