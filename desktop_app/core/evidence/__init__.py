"""Evidence from texts: what excites neurons, and what heads do, over many windows of many texts."""
