"""Operations that move with the numbers of the pass: what is made at each beat, and what of it is seen on the way."""
