"""Makes the golden token ids of tests/gpt2/test_tokenizer.py with transformers' GPT2TokenizerFast.

    python tests/data/make_tokenizer_golden.py [FOLDER with GPT-2's vocab.json and merges.txt]

Writes into this script's folder:
    small_bpe/        vocab.json and merges.txt of all bytes and 400 merges, trained on the texts below
    small_bpe_json/   the same as a single tokenizer.json, as transformers saves it
    golden_small_bpe.json, golden_gpt2.json   the ids and character spans of every text
"""

import json
import random
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2TokenizerFast

HERE = Path(__file__).resolve().parent
GPT2 = HERE.parents[2] / "shared" / "data" / "gpt2-tokenizer"
MERGES = 400

PROSE = [
    "The quick brown fox jumps over the lazy dog.",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness",
    "'And what is the use of a book,' thought Alice, 'without pictures or conversations?'",
    "Call me Ishmael. Some years ago--never mind how long precisely--having little or no money in my purse, and "
    "nothing particular to interest me on shore, I thought I would sail about a little and see the watery part.",
    "Im Anfang schuf Gott Himmel und Erde; der Größte, die Straße, das Mädchen, süß und böse.",
    "Être ou ne pas être, voilà la question; l'été à Noël, où çà?",
    "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.",
    "親譲りの無鉄砲で小供の時から損ばかりしている。",
    "道可道，非常道。名可名，非常名。",
    "죽는 날까지 하늘을 우러러 한 점 부끄럼이 없기를",
    "إنما الأعمال بالنيات",
    "בראשית ברא אלהים את השמים ואת הארץ",
    "धर्मक्षेत्रे कुरुक्षेत्रे समवेता युयुत्सवः",
    "สวัสดีชาวโลก",
]
EDGES = [
    "",
    " ",
    "  ",
    "   x",
    "x   ",
    "\n",
    "\n\n\n",
    " \n \n",
    "\t\tif (a\t== b)\t{\n\t\t\treturn  a;\n\t}\n",
    "line one\r\nline two\rline three\n\r",
    "a\u00a0b\u00a0\u00a0c \u00a0 d",
    "\u2003em\u2002en\u2009thin\u3000ideographic\u202fnarrow",
    "\u2028line\u2029paragraph\u0085next\x0b\x0c\x1c\x1d\x1e\x1funits",
    "\x00\x01\x02\x07\x08\x1b[31mred\x1b[0m\x7f\x80\x9f\xad",
    "\ufeffbyte order mark\ufeff",
    "zero\u200bwidth\u200cnon\u200djoiner\u2060word",
    "\u202eright to left\u202c \u2066isolate\u2069",
    "I'm you're he's we'd they'll I've don't DON'T I'M 'S 'twas ''s '' 's't",
    "I’m you’re ‘quoted’ “double” … — –",
    "1 12 123 1234 12345 3.14159 1,000,000 0x1F ²³¼ ٣٤٥ ½",
    "naïve café Ångström e\u0301 o\u0308 n\u0303 \u0301alone",
    "Z\u0351\u036b\u0343a\u0363\u0368l\u0366\u0345g\u0321\u0330o\u033a\u032a",
    "😀😃👍🏽👩‍👩‍👧‍👦🏳️‍🌈🇫🇷🇯🇵 👋 ✨✨",
    "half ▁ lower one eighth block ░▒▓█",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋ ∧ ∑ᵢ₌₁ⁿ i² ≠ ∞",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𒀀 🜁 \U0010fffd \uffff \ufffd \ufffe",
    "ǅ ﬁ ﬂ ß ẞ İ ı Ω Ω Å Å",
    "·↵⇥␍⍽ Ġ Ċ ĉ č Âł",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!!!!!!???...,,,;;;:::---___===+++***///\\\\\\|||~~~```@@@###$$$%%%^^^&&&",
    "https://example.org/path?query=1&other=%20two#fragment user@example.org",
    "def f(x: int) -> dict[str, list[int]]:\n    return {'a': [x] * 3}  # comment\n",
    "CamelCase snake_case SCREAMING_CASE kebab-case x86_64 GPT2 L2H4",
    "<|endoftext|>",
    " <|endoftext|> ",
    "one<|endoftext|>two <|endoftext|> three<|endoftext|><|endoftext|>",
    "<|endoftext|> don't\n<|endoftext|>\n\n<|endoftext|>  x",
    "<|endoftext| > <|ENDOFTEXT|> <|endoftext <<|endoftext|>> |endoftext|>",
]


def random_texts(count: int) -> list[str]:
    """Texts of random characters of all planes, mostly spaces and ASCII, without surrogates."""
    rng = random.Random(50257)

    def char() -> str:
        kind = rng.random()
        if kind < 0.2:
            return rng.choice(" \t\n\r\u00a0")
        code = rng.randrange(
            *((0x80,) if kind < 0.5 else (0x800,) if kind < 0.7 else (0x10000,) if kind < 0.9 else (0x110000,))
        )
        return chr(code) if not 0xD800 <= code < 0xE000 else "x"

    return ["".join(char() for _ in range(60)) for _ in range(count)]


def texts() -> list[str]:
    """All golden texts."""
    return PROSE + EDGES + random_texts(20)


def make_small_bpe(folder: Path) -> None:
    """Train the small vocabulary; `<|endoftext|>` is the last id, as in GPT-2."""
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    library.train_from_iterator(
        PROSE + EDGES, trainers.BpeTrainer(vocab_size=256 + MERGES, initial_alphabet=alphabet, show_progress=False)
    )
    library.add_special_tokens(["<|endoftext|>"])
    model = json.loads(library.to_str())["model"]
    ids = model["vocab"] | {"<|endoftext|>": len(model["vocab"])}
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(ids) + "\n")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_golden(tokenizer_folder: Path, path: Path) -> GPT2TokenizerFast:
    """Write what transformers computes for every text with the tokenizer in a folder."""
    reference = GPT2TokenizerFast.from_pretrained(tokenizer_folder)
    rows = []
    for text in texts():
        encoded = reference(text, return_offsets_mapping=True)
        rows.append({"text": text, "ids": encoded["input_ids"], "spans": encoded["offset_mapping"]})
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    return reference


if __name__ == "__main__":
    make_small_bpe(HERE / "small_bpe")
    small = write_golden(HERE / "small_bpe", HERE / "golden_small_bpe.json")
    small.backend_tokenizer.save(str(HERE / "small_bpe.json.tmp"))
    (HERE / "small_bpe_json").mkdir(exist_ok=True)
    (HERE / "small_bpe.json.tmp").replace(HERE / "small_bpe_json" / "tokenizer.json")
    write_golden(Path(sys.argv[1]) if len(sys.argv) > 1 else GPT2, HERE / "golden_gpt2.json")
