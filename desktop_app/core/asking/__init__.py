"""What a user can ask for: tables of commands and options, and how the state follows."""
