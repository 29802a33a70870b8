"""Stories, examples, exercises, and the claims that tests hold them to."""
