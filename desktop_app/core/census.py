"""A model's parameters counted by family of matrices (embedding, query, MLP up ...), with GPT-2's sizes and GPT-3's.

A bias belongs to the family of its matrix. A tied unembedding counts once, as the embedding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from desktop_app.core.library.catalogue import hub_entries
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.weights import own_weights

EMBEDDING, POSITION, UNEMBEDDING = "embedding", "position", "unembedding"
QUERY, KEY, VALUE, OUTPUT = "query", "key", "value", "output"
MLP_UP, MLP_DOWN, NORMS = "MLP up", "MLP down", "norms"

FAMILIES = (EMBEDDING, POSITION, QUERY, KEY, VALUE, OUTPUT, MLP_UP, MLP_DOWN, NORMS, UNEMBEDDING)
ATTENTION = (QUERY, KEY, VALUE, OUTPUT)
MLP = (MLP_UP, MLP_DOWN)
EMBEDDINGS = (EMBEDDING, POSITION, UNEMBEDDING)

# The last part of a weight's name -> its family. W_QKV and b_QKV consist of three families.
_FAMILY = {
    "W_E": EMBEDDING,
    "W_pos": POSITION,
    "W_O": OUTPUT,
    "b_O": OUTPUT,
    "W_in": MLP_UP,
    "b_in": MLP_UP,
    "W_out": MLP_DOWN,
    "b_out": MLP_DOWN,
    "w": NORMS,
    "b": NORMS,
    "W_U": UNEMBEDDING,
}


@dataclass(frozen=True)
class Family:
    """One family: its number of parameters, its fraction of all parameters, and how many of them are biases."""

    name: str
    count: int
    share: float
    biases: int = 0


@dataclass(frozen=True)
class Census:
    """The parameters of one model. `blocks` is the number in the blocks; `note` says what was not counted, if any."""

    name: str
    rows: tuple[Family, ...]
    blocks: int
    note: str = ""

    @property
    def total(self) -> int:
        """The number of parameters counted."""
        return sum(row.count for row in self.rows)

    def count(self, *families: str) -> int:
        """The number of parameters of some families together."""
        return sum(row.count for row in self.rows if row.name in families)

    def of_blocks(self, *families: str) -> float:
        """The fraction of the blocks' parameters that belongs to some families."""
        return self.count(*families) / self.blocks

    def of_all(self, *families: str) -> float:
        """The fraction of all parameters that belongs to some families."""
        return self.count(*families) / self.total


def census(name: str, config: Config) -> Census:
    """The census of a model with this config; its total equals `parameter_count`."""
    counts, biases, blocks = dict.fromkeys(FAMILIES, 0), dict.fromkeys(FAMILIES, 0), 0
    for weight, _, spec in own_weights(config):
        size, last = prod(spec.shape(config)), weight.rsplit(".", 1)[-1]
        families = (QUERY, KEY, VALUE) if last in ("W_QKV", "b_QKV") else (_FAMILY[last],)
        for family in families:
            counts[family] += size // len(families)
            biases[family] += size // len(families) if last.startswith("b") else 0
        blocks += size if weight.startswith("blocks.") else 0
    note = Phrase("the unembedding is the embedding, counted once") if config.tie_word_embeddings else ""
    return _made(name, counts, blocks, biases, note)


def _made(name: str, counts: Mapping[str, int], blocks: int, biases: Mapping[str, int], note: str) -> Census:
    total = sum(counts.values())
    rows = tuple(Family(family, n, n / total, biases.get(family, 0)) for family, n in counts.items())
    return Census(name, rows, blocks, note)


def gpt2_sizes() -> dict[str, Config]:
    """The configs of the four published sizes by title: the repositories of OpenAI in the catalogue of models."""
    return {row.title: row.config for row in hub_entries() if row.repository.startswith("openai-community/")}


GPT3_SOURCE = "3Blue1Brown, “But what is a GPT? Visual intro to transformers”, Deep Learning chapter 5, 2024"
"""The source of the counts of GPT-3's eight families, and of their shapes."""


def gpt3() -> Census:
    """GPT-3's 175 billion parameters in eight families, as in GPT3_SOURCE: no biases, norms or positions."""
    vocabulary, width, layers, heads, head, neurons = 50_257, 12_288, 96, 96, 128, 49_152
    tables = dict.fromkeys((EMBEDDING, UNEMBEDDING), vocabulary * width)
    attention = dict.fromkeys(ATTENTION, head * width * heads * layers)
    mlp = dict.fromkeys(MLP, neurons * width * layers)
    every = tables | attention | mlp
    counts = {family: every[family] for family in FAMILIES if family in every}
    note = Phrase("eight families, without biases, norms and positions, after {1}", GPT3_SOURCE)
    return _made("GPT-3", counts, sum(attention.values()) + sum(mlp.values()), {}, note)


def references() -> tuple[Census, ...]:
    """The models to compare with: GPT-2 from small to XL, and GPT-3."""
    return (*(census(name, config) for name, config in gpt2_sizes().items()), gpt3())


def as_table(models: Sequence[Census]) -> list[list[str]]:
    """A table: a header with the models' names, a row per family, the totals, and those of attention and of MLPs."""
    lines = [["", *(model.name for model in models)]]
    for family in FAMILIES:
        counts = [{row.name: f"{row.count:,}" for row in model.rows} for model in models]
        lines.append([family, *(own.get(family, "-") for own in counts)])
    lines.append(["all", *(f"{model.total:,}" for model in models)])
    lines.append(["attention, of the blocks", *(f"{model.of_blocks(*ATTENTION):.1%}" for model in models)])
    lines.append(["MLPs, of the blocks", *(f"{model.of_blocks(*MLP):.1%}" for model in models)])
    lines.append(["embeddings, of all", *(f"{model.of_all(*EMBEDDINGS):.1%}" for model in models)])
    return lines


def as_data(counted: Census) -> dict[str, object]:
    """A census as JSON data."""
    return {
        "name": counted.name,
        "total": counted.total,
        "families": [vars(row) for row in counted.rows],
        "attention_of_blocks": counted.of_blocks(*ATTENTION),
        "mlp_of_blocks": counted.of_blocks(*MLP),
        "embeddings_of_all": counted.of_all(*EMBEDDINGS),
        "note": counted.note,
    }


@dataclass(frozen=True)
class LowRank:
    """What a head saves by factoring W_OV into W_V ("value down") and W_O ("value up"); W_OV has rank `rank`.

    `own` is the number of parameters of a head's W_V and W_O, `full` that of a [width, width] matrix in their place,
    `heads` the number of heads in the model.
    """

    width: int
    rank: int
    heads: int

    @property
    def own(self) -> int:
        """The number of parameters of one head's W_V and W_O."""
        return 2 * self.width * self.rank

    @property
    def full(self) -> int:
        """The number of parameters of one [width, width] matrix."""
        return self.width * self.width

    @property
    def saved(self) -> int:
        """The parameters saved over all heads; negative if the factors cost more."""
        return self.heads * (self.full - self.own)


def low_rank(config: Config) -> LowRank:
    """The value matrices of a model with this config."""
    return LowRank(config.n_embd, config.d_head, config.n_layer * config.n_head)
