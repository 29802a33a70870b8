"""Every statistic of a scan equals a plain float64 computation over all windows; the top passages are the true top."""

import numpy as np
import pytest

from desktop_app.core.evidence.findings import sample_of
from desktop_app.core.evidence.heads import DISTANCES, SCORES
from desktop_app.core.evidence.neurons import BINS, bins_of, edges, first_greatest
from desktop_app.core.evidence.runner import Here
from tests.core.evidence.texts_and_model import CONFIG, plain_passes, plain_windows, scan, write_model, write_texts

pytest.importorskip("pyarrow", reason="needs the packages of ./run scan")

LAYERS, HEADS, NEURONS = CONFIG["n_layer"], CONFIG["n_head"], 4 * CONFIG["n_embd"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    return scan(write_model(folder / "model"), write_texts(folder / "texts"), folder / "out", Here(), lens=True)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    return plain_windows(write_texts(tmp_path_factory.mktemp("texts") / "texts"))


@pytest.fixture(scope="module")
def passes(windows):
    return plain_passes(0, windows)


def each_neuron(passes, layer, side):
    """[position of all windows, neuron], position 0 left out."""
    return np.concatenate([p[f"blocks.{layer}.mlp.{side}"][1:] for p in passes])


def test_windows_and_positions_are_all_counted(found, windows):
    assert found.windows == len(windows) > 150
    assert found.rows == sum(len(ids) - 1 for ids in windows)
    assert found.not_finite == 0


@pytest.mark.parametrize("side", ["pre", "post"])
def test_neurons_have_their_mean_variance_and_share_above_zero(found, passes, side):
    for layer in range(LAYERS):
        values = each_neuron(passes, layer, side)
        np.testing.assert_allclose(found.neurons[side].mean[layer], values.mean(0), atol=2e-5)
        np.testing.assert_allclose(found.neurons[side].variance[layer], values.var(0), rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(found.neurons[side].positive[layer], (values > 0).mean(0), atol=2e-3)
        first = np.stack([p[f"blocks.{layer}.mlp.{side}"][0] for p in passes])
        np.testing.assert_allclose(found.neurons[side].first_mean[layer], first.mean(0), atol=2e-5)
        np.testing.assert_allclose(found.neurons[side].first_variance[layer], first.var(0), atol=2e-5)


@pytest.mark.parametrize("side", ["pre", "post"])
def test_histograms_count_every_position_between_their_bounds(found, passes, side):
    off = 0
    for layer in range(LAYERS):
        values = each_neuron(passes, layer, side)
        for neuron in range(NEURONS):
            plain = np.histogram(values[:, neuron], [-np.inf, *edges(), np.inf])[0]
            own = found.neurons[side].histogram[layer, neuron]
            assert own.sum() == len(values)
            off += np.abs(own - plain).sum()
    assert off <= 1e-4 * found.rows * NEURONS * LAYERS  # in float32 a value at a bin's edge may fall on either side


def test_bins_are_by_bounds():
    values = np.array([0, -0.0, 1 / 64, -1 / 64, 0.999 / 64, 1, 1.4999, 1.5, 2, -2, 47.9, 48, 1e9, -1e9], np.float32)
    plain = [24, 24, 25, 23, 24, 37, 37, 38, 39, 9, 47, 48, 48, 0]
    assert bins_of(values).tolist() == plain
    assert len(edges()) == BINS - 1
    assert edges()[24:27].tolist() == [1 / 64, 1.5 / 64, 2 / 64]


def test_the_first_of_equal_values_is_taken():
    values = np.array([[0, 5], [3, 5], [3, 1]], np.float32)
    most, row = first_greatest(values)
    assert most.tolist() == [3, 5] and row.tolist() == [1, 0]
    long = np.zeros((300, 2), np.float32)
    long[270, 1] = 1
    assert first_greatest(long)[1].tolist() == [0, 270]


@pytest.mark.parametrize("side", ["pre", "post"])
def test_top_passages_are_the_true_top(found, passes, windows, side):
    top = found.top[side]
    assert top.value.shape == (LAYERS, 20, NEURONS)
    for layer in range(LAYERS):
        peaks = np.stack([p[f"blocks.{layer}.mlp.{side}"][1:].max(0) for p in passes])
        for neuron in range(NEURONS):
            plain = np.sort(peaks[:, neuron])[::-1][:20]
            np.testing.assert_allclose(top.value[layer, :, neuron], plain, atol=5e-5)
            assert len(set(top.window[layer, :, neuron])) == 20
            for rank in (0, 7, 19):
                window, position = top.window[layer, rank, neuron], top.position[layer, rank, neuron]
                there = passes[window][f"blocks.{layer}.mlp.{side}"][position, neuron]
                assert position > 0
                assert there == pytest.approx(top.value[layer, rank, neuron], abs=5e-5)


def test_five_passages_come_from_each_tenth_of_the_windows(found, passes, windows):
    sample = sorted(sample_of(len(windows), 0))
    assert len(sample) == min(200, len(windows))
    decile = found.deciles["post"]
    peaks = np.stack([passes[n]["blocks.1.mlp.post"][1:].max(0) for n in sample])
    for neuron in range(NEURONS):
        bounds = np.quantile(peaks[:, neuron], np.linspace(0, 1, 11))
        for n in range(10):
            of = slice(5 * n, 5 * n + 5)
            values, chosen = decile.value[1, of, neuron], decile.window[1, of, neuron]
            assert (values >= bounds[n] - 1e-4).all() and (values <= bounds[n + 1] + 1e-4).all()
            assert len(set(chosen)) == 5 and set(chosen) <= set(sample)
            for value, window, place in zip(values, chosen, decile.position[1, of, neuron], strict=True):
                assert passes[window]["blocks.1.mlp.post"][place, neuron] == pytest.approx(value, abs=5e-5)


def plain_scores(pattern, ids):
    """The scores of one head, by loops over queries and keys, without position 0; and its attention by distance."""
    count = len(ids)
    on = dict.fromkeys(("previous", "first", "self", "duplicate", "induction"), 0.0)
    there, beyond_there = dict.fromkeys(on, False), dict.fromkeys(on, False)
    beyond = dict.fromkeys(on, 0.0)
    distances = np.zeros(len(DISTANCES))
    entropy = distance = rest = 0.0
    for i in range(1, count):
        for j in range(i + 1):
            weight = pattern[i, j]
            belongs = {
                "previous": j == i - 1,
                "first": j == 0,
                "self": j == i,
                "duplicate": j < i and ids[j] == ids[i],
                "induction": j >= 1 and ids[j - 1] == ids[i],
            }
            for name in (name for name, yes in belongs.items() if yes):
                on[name] += weight
                there[name] = True
                if j:
                    beyond[name] += weight
                    beyond_there[name] = True
            rest += weight if j else 0
            distances[max(n for n, least in enumerate(DISTANCES) if i - j >= least)] += weight
            entropy -= weight * np.log(weight) / np.log(i + 1) if weight else 0
            distance += weight * (i - j)
    queries = count - 1
    found = {name: on[name] / queries if there[name] else np.nan for name in on}
    for name in on:
        found[f"{name}_without_first"] = beyond[name] / rest if beyond_there[name] else np.nan
    return found | {"entropy": entropy / queries, "distance": distance / queries}, distances


def test_heads_have_their_scores_spreads_norms_and_distances(found, passes, windows):
    for layer in range(LAYERS):
        for head in range(HEADS):
            scores, distances, norms, first = [], 0, [], []
            for p, ids in zip(passes, windows, strict=True):
                own, apart = plain_scores(p[f"blocks.{layer}.attn.pattern"][head], ids)
                result = p[f"blocks.{layer}.attn.z"][head] @ output_rows(layer, head)
                length = np.linalg.norm(result, axis=-1)
                stream = np.linalg.norm(p[f"blocks.{layer}.resid_pre"], axis=-1)
                scores.append(own | {"share": (length / stream)[1:].mean()})
                distances = distances + apart
                norms.append(length[1:])
                first.append(length[0])
            for n, name in enumerate(SCORES):
                plain = np.array([score[name] for score in scores])
                assert found.heads.scores[n, layer, head] == pytest.approx(np.nanmean(plain), abs=2e-5), name
                assert found.heads.spread[n, layer, head] == pytest.approx(np.nanstd(plain), abs=1e-4), name
            np.testing.assert_allclose(found.heads.distances[layer, head], distances / found.rows, atol=1e-5)
            norms = np.concatenate(norms)
            assert found.heads.norm[layer, head] == pytest.approx(norms.mean(), rel=1e-5)
            assert found.heads.norm_spread[layer, head] == pytest.approx(norms.std(), rel=1e-3)
            assert found.heads.first_norm[layer, head] == pytest.approx(np.mean(first), rel=1e-5)


def output_rows(layer, head):
    from tests.checkpoints import random_weights

    size = CONFIG["n_embd"] // HEADS
    return random_weights(CONFIG, 0)[f"h.{layer}.attn.c_proj.weight"][head * size : (head + 1) * size].astype(float)


def test_strongest_passages_and_pairs_of_heads_are_the_true_ones(found, passes, windows):
    for layer in range(LAYERS):
        for head in range(HEADS):
            peaks, best = [], {}
            for number, (p, ids) in enumerate(zip(passes, windows, strict=True)):
                length = np.linalg.norm(p[f"blocks.{layer}.attn.z"][head] @ output_rows(layer, head), axis=-1)
                peaks.append(length[1:].max())
                pattern = p[f"blocks.{layer}.attn.pattern"][head]
                for i in range(1, len(ids)):
                    j = 1 + int(pattern[i, 1:].argmax())
                    pair = (ids[i], ids[j])
                    best[pair] = max(best.get(pair, (0, 0)), (pattern[i, j], -number))
            np.testing.assert_allclose(found.head_top.value[layer, :, head], np.sort(peaks)[::-1][:20], rtol=1e-4)
            plain = sorted((weight for weight, _ in best.values()), reverse=True)[:20]
            own = found.pairs["weight"][layer, head]
            np.testing.assert_allclose(own, plain, atol=1e-5)
            pairs = list(zip(found.pairs["query_id"][layer, head], found.pairs["key_id"][layer, head], strict=True))
            assert len(set(pairs)) == 20
            for n, pair in enumerate(pairs):
                assert best[pair][0] == pytest.approx(own[n], abs=1e-5)
                window, query, key = (int(found.pairs[name][layer, head, n]) for name in ("window", "query", "key"))
                assert (windows[window][query], windows[window][key]) == pair
                assert passes[window][f"blocks.{layer}.attn.pattern"][head, query, key] == pytest.approx(
                    own[n], abs=1e-5
                )


def log_softmax(rows):
    rows = rows - rows.max(-1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(-1, keepdims=True))


def test_each_position_has_its_loss_and_each_token_its_count(found, passes, windows):
    for position in range(15):
        plain = [
            -log_softmax(p["logits"][position])[ids[position + 1]]
            for p, ids in zip(passes, windows, strict=True)
            if len(ids) > position + 1
        ]
        assert found.loss_count[position] == len(plain)
        assert found.loss[position] == pytest.approx(np.mean(plain), rel=1e-5)
        assert found.loss_spread[position] == pytest.approx(np.std(plain), rel=1e-3)
    counts = np.bincount(np.concatenate(windows), minlength=CONFIG["vocab_size"])
    assert found.tokens.tolist() == counts.tolist()


def test_the_lens_says_how_often_and_how_well_it_predicts(found, passes, windows):
    from desktop_app.core.evidence.batch import Plan, lens_positions
    from tests.checkpoints import random_weights

    weights = {name: array.astype(float) for name, array in random_weights(CONFIG, 0).items()}
    accuracy, loss, count = found.lens
    names = ["blocks.0.resid_pre", "blocks.1.resid_pre", "blocks.1.resid_post"]
    for n, name in enumerate(names):
        right, losses = [], []
        for number, (p, ids) in enumerate(zip(passes, windows, strict=True)):
            for place in lens_positions(Plan(16), number, len(ids)):
                assert 0 < place < len(ids) - 1
                x = p[name][place]
                x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * weights["ln_f.weight"] + weights["ln_f.bias"]
                logits = weights["wte.weight"] @ x
                right.append(logits.argmax() == ids[place + 1])
                losses.append(-log_softmax(logits)[ids[place + 1]])
        assert count[n] == len(right)
        assert accuracy[n] == pytest.approx(np.mean(right))
        assert loss[n] == pytest.approx(np.mean(losses), rel=1e-5)
