"""Reports everything wrong with a checkpoint folder, tensor by tensor; loading it stops at the first fault."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from desktop_app.gpt2.checkpoint import as_float32, remarks_on, settle_head, storage_fault
from desktop_app.gpt2.config import Config, load_config
from desktop_app.gpt2.endings import text_ends
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.safetensors_file import SafetensorsFile
from desktop_app.gpt2.stored import StoredTensors, by_own_name, is_linear, open_files, take_heads
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.weights import WeightSpec, all_weights, parameter_count


@dataclass(frozen=True)
class TensorFinding:
    """One tensor: its name in the file, how it is stored (empty if missing or unknown), and what is wrong with it."""

    name: str
    stored: str
    fault: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The faults of a folder. `troubles` are sentences about files; `tensors` are in the order of the model."""

    folder: Path
    config: Config | None
    files: tuple[str, ...]
    tokens: int | None
    troubles: tuple[str, ...]
    tensors: tuple[TensorFinding, ...]
    remarks: tuple[str, ...] = ()
    """Sentences about what is ignored without being a fault."""

    @property
    def faults(self) -> int:
        """The number of faults."""
        return len(self.troubles) + sum(bool(finding.fault) for finding in self.tensors)

    def lines(self, *, everything: bool = False) -> Iterator[str]:
        """The report line by line; tensors without a fault only with `everything`."""
        yield str(self.folder)
        if self.config is not None:
            c = self.config
            yield (
                f"  config     {c.n_layer} blocks, {c.n_head} heads of width {c.d_head}, {c.n_embd} wide, "
                f"{c.n_positions:,} positions, {c.vocab_size:,} tokens, {c.activation_function}"
            )
            yield f"  parameters {parameter_count(c):,}{'' if c.tie_word_embeddings else ', the head not tied'}"
        for words in self.files:
            yield f"  weights    {words}"
        if self.tokens is not None:
            yield f"  tokenizer  {self.tokens:,} tokens"
        for remark in self.remarks:
            yield f"  note       {remark}"
        for trouble in self.troubles:
            yield f"  WRONG      {trouble}"
        width = max((len(finding.name) for finding in self.tensors), default=0)
        for finding in self.tensors:
            if finding.fault:
                yield f"  WRONG      {finding.name:{width}}  {finding.fault}"
            elif everything:
                yield f"  sound      {finding.name:{width}}  {finding.stored}"
        sound = sum(not finding.fault for finding in self.tensors)
        verdict = "all is well" if not self.faults else f"{self.faults} wrong"
        yield f"{sound} of {len(self.tensors)} tensors are sound; {verdict}."


def diagnose(folder: Path) -> Diagnosis:
    """A diagnosis of every file and every tensor in `folder`; faults are reported, not raised.

    Raises ModelError only if there is no such folder.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; give the one that holds config.json and the weights.")
    troubles: list[str] = []
    config = _config(folder, troubles)
    files: list[SafetensorsFile] = []
    stored: StoredTensors = {}
    try:
        for file in open_files(folder):
            files.append(file)
        stored = by_own_name(iter(files), folder)
    except LogitscopeError as reason:
        troubles.append(str(reason))
    tensors: list[TensorFinding] = []
    remarks: list[str] = []
    if config is not None and stored:
        remarks += remarks_on(folder, take_heads(stored))
        tensors = _tensors(config, stored, folder, troubles)
    tokens = None
    try:
        tokenizer = Tokenizer.load(folder, vocab_size=config.vocab_size if config else None)
        tokens = tokenizer.size
        remarks += tokenizer.remarks
        text_ends(folder, tokenizer)
    except LogitscopeError as reason:
        troubles.append(str(reason))
    described = tuple(_described(file) for file in files)
    return Diagnosis(folder, config, described, tokens, tuple(troubles), tuple(tensors), tuple(remarks))


def _config(folder: Path, troubles: list[str]) -> Config | None:
    try:
        return load_config(folder / "config.json")
    except LogitscopeError as reason:
        troubles.append(str(reason))
        return None


def _tensors(config: Config, stored: StoredTensors, folder: Path, troubles: list[str]) -> list[TensorFinding]:
    turned = False
    try:
        config = settle_head(config, stored, folder)
    except LogitscopeError as reason:
        troubles.append(str(reason))
    try:
        turned = is_linear(config, stored, folder)
    except LogitscopeError:
        turned = False  # the fault of c_attn is reported below
    found = []
    for _, stored_name, spec in all_weights(config):
        if spec.is_tied(config):
            stored.pop(stored_name, None)
        elif stored_name in stored:
            file, full_name = stored.pop(stored_name)
            found.append(_finding(file, full_name, spec, config, turned and spec.matrix))
        elif not spec.is_absent(config):
            found.append(TensorFinding(stored_name, "", f"is missing; it has shape {list(spec.shape(config))}"))
    for file, full_name in stored.values():
        found.append(TensorFinding(full_name, "", f"is not a weight of this GPT-2, {_form(file, full_name)}"))
    return found


def _finding(file: SafetensorsFile, name: str, spec: WeightSpec, config: Config, turned: bool) -> TensorFinding:
    form, fault = _form(file, name), storage_fault(file.entries[name], spec, config, turned)
    if not fault and not as_float32(file.read(name), turned)[1]:
        fault = f"holds values that are not finite (NaN or infinity), {form}"
    return TensorFinding(name, form + (", transposed" if turned else ""), fault)


def _form(file: SafetensorsFile, name: str) -> str:
    entry = file.entries[name]
    return f"{entry.dtype} {list(entry.shape)}"


def _described(file: SafetensorsFile) -> str:
    dtypes = sorted({entry.dtype for entry in file.entries.values()})
    return f"{file.path.name}: {len(file.entries)} tensors, {file.path.stat().st_size:,} bytes, {', '.join(dtypes)}"
