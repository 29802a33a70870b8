"""Evidence from texts: what excites neurons and what heads do, measured on many windows of many texts."""
