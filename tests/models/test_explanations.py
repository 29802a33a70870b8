"""What explanations of steps and workspaces say about models is checked on the models at hand."""

from desktop_app.core.analysis.heads import kept
from desktop_app.core.census import ATTENTION, EMBEDDING, MLP, census, gpt2_sizes
from desktop_app.core.model import open_model
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.steps import texts


def test_every_size_of_gpt2_has_its_largest_part_in_the_mlps_and_small_ones_more_in_the_embedding():
    assert "the smaller the model, the larger the share of its embedding" in texts()["census"].explain
    counted = [census(name, config) for name, config in gpt2_sizes().items()]
    counted.sort(key=lambda one: one.total)
    shares = [one.of_all(EMBEDDING) for one in counted]
    assert shares == sorted(shares, reverse=True)
    for one in (*counted, census("bundled", open_model(bundled_models()["bundled"]).config)):
        mlp = one.of_all(*MLP)
        assert mlp > max(one.of_all(EMBEDDING), one.of_all(*ATTENTION)), one.name


def test_a_label_needs_what_the_explanation_of_heads_says():
    from desktop_app.core.analysis.labels import LIMIT, labels

    assert f"a score of {LIMIT:g} beyond the first token" in texts()["atlas"].explain
    found = labels(kept(open_model(bundled_models()["bundled"]).engine))
    assert found and all(label.without_first >= LIMIT for label in found if label.score != "first")


def test_a_sure_model_keeps_few_and_an_unsure_one_many():
    from desktop_app.gpt2.sampling import Ranked, Sampling, stages

    assert "A sure model keeps few, an unsure one many." in texts()["top_p"].lead
    model, kept_tokens = open_model(bundled_models()["bundled"]), []
    for text in ("What colour is a strawberry? It is", "Once upon a time there was a"):
        logits = model.engine.trace(model.tokenizer.encode(text).ids).logits(-1)
        kept_tokens.append(stages(Ranked(logits), Sampling(top_p=0.9)).n_kept)
    assert kept_tokens[0] == 1 and kept_tokens[1] > 100
