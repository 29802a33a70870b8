"""Operations animated with the numbers of the pass: what each beat computes, and what is shown meanwhile."""
