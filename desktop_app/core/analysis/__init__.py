"""Why a model predicts what it does: lens, attribution, opened scores, heads, flow; numpy only.

Each module has a result type, a frozen dataclass of named arrays whose axes are listed in its `AXES`, and a pure
function `compute` that makes it from a checkpoint (or engine) and a trace. A result is a plain value: it can be cached,
compared and written to a file (`arrays`), and no longer needs the model. Its `closings` compare the sum of a
decomposition with the model's own number; `checks.py` lists those that `logitscope check` prints.

    parts        the residual stream as a sum of embeddings and outputs of heads and MLPs, and ways of grouping these
    attribution  how much each part adds to a token's logit, or to the difference of two logits
    lens         what each point of the residual stream would already predict
    score        one attention score as a sum over query parts and key parts
    heads        how each head attends, on repeated random tokens and on the current text
    labels       names of heads by these measurements
    rollout      attention averaged over heads and blocks, and attention rollout
    flow         which parts make up a vector, traced from the last block down to the embeddings

All of them take `stop` (`gpt2.session.Stop`; they raise Cancelled soon after it is set); the longer ones also take
`progress`, which receives the share done, from 0 to 1. An attribution decomposes a number at this input; it does not
measure a cause, since a later block may erase what an earlier one wrote.
"""
