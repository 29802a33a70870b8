"""Why a model predicts what it does: lens, attribution, scores of heads, flow; numpy only.

Most modules have a result type, a frozen dataclass of named arrays whose axes are listed in its `AXES`, and a pure
function, `compute` in most of them, that makes it from a checkpoint (or engine) and a trace. A result is a plain value:
it can be cached and written to a file (`arrays`), and does not need the model any more. The `closings` of a
decomposition compare its sum with the number that the model computed; `checks.py` lists those that `logitscope check`
prints. The modules on a pass are:

    parts        the residual stream as a sum of embeddings and outputs of heads and MLPs, and ways of grouping these
    attribution  how much each part adds to a token's logit, or to the difference of two logits
    lens         what each point of the residual stream would predict
    score        one attention score as a sum over query parts and key parts
    heads        how each head attends, on repeated random tokens and on the current text
    labels       names of heads by these measurements
    rollout      attention averaged over heads and blocks, and attention rollout
    flow         which parts a vector consists of, traced from the last block down to the embeddings

The others start from weights alone, or build on these. Functions that may take long have the argument `stop`
(`gpt2.session.Stop`; they raise Cancelled soon after it is set), and many also `progress`, which receives the fraction
done, from 0 to 1. An attribution decomposes a number for this input; it does not measure a cause, because a later block
may erase what an earlier one wrote.
"""
