import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.recipe import facts_of, load_recipe, model_names, parse_settings, zoo, zoo_table


def test_every_recipe_of_the_zoo_loads_and_has_a_card():
    names = model_names()
    assert {"facesleuth", "facesleuth-compact", "facesleuth-tiny"} <= set(names)
    for name in names:
        recipe = load_recipe(name)
        assert recipe.model == name
        assert recipe.source
        assert (zoo() / name / "README.md").is_file()


@pytest.mark.parametrize("name", model_names())
def test_what_a_recipe_says_of_its_network_is_so(name):
    row = next(row.as_json() for row in zoo_table() if row.name == name)
    counted = facts_of(load_recipe(name))
    assert {key: row[key] for key in counted} == counted
    assert "[built]" in (zoo() / name / "recipe.toml").read_text()


def test_the_card_states_the_parameters_that_the_network_has():
    for row in zoo_table():
        card = (zoo() / row.name / "README.md").read_text()
        assert f"{row.parameters:,}" in card, row


def test_the_compact_size_is_near_the_papers_table():
    assert load_recipe("facesleuth-compact").parameters() == pytest.approx(8.79e6, rel=0.05)


def test_a_recipe_of_ones_own_is_a_difference_from_one_of_the_zoo(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('model = "facesleuth-tiny"\nepochs = 7\n[options]\nattention = "cva"\n')
    own, base = load_recipe(str(file), {"batch": 8}), load_recipe("facesleuth-tiny")
    assert (own.model, own.epochs, own.batch, own.lr) == ("mine", 7, 8, base.lr)
    assert own.options == {**base.options, "attention": "cva"}
    file.write_text('network = "ststnet"\n')
    assert load_recipe(str(file)).network == "ststnet"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('model = "facesleuth-tny"', "did you mean facesleuth-tiny"),
        ("epochs = 3", "names no network"),
        ('model = "facesleuth-tiny"\nepoch = 3', "unknown key 'epoch'"),
        ("epochs = = 3", "not a readable recipe"),
        (None, "not a readable recipe"),
    ],
    ids=["unknown base", "no network", "unknown key", "no TOML", "absent"],
)
def test_a_wrong_recipe_of_ones_own_is_refused(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(MerError, match=message):
        load_recipe(str(file))


def test_overrides_reach_recipe_and_network():
    recipe = load_recipe("facesleuth-tiny", parse_settings(["epochs=3", "lr=1", "options.attention=cva"]))
    assert (recipe.epochs, recipe.lr, recipe.options["attention"]) == (3, 1.0, "cva")
    assert recipe.as_json()["options"]["attention"] == "cva"
    assert "theta_deg" in recipe.as_json()["options"]


BAD = [
    pytest.param("facesleuth-tny", [], "did you mean facesleuth-tiny?", id="unknown model"),
    pytest.param("facesleuth-tiny", ["epoch=3"], "unknown key 'epoch'.*did you mean epochs?", id="unknown key"),
    pytest.param("facesleuth-tiny", ["epochs=many"], "epochs = 'many' is not of type int", id="wrong type"),
    pytest.param("facesleuth-tiny", ["epochs=0"], r"epochs = 0 is outside 1\.\.", id="out of range"),
    pytest.param("facesleuth-tiny", ["epochs"], "'epochs' is not key=value", id="no value"),
    pytest.param("facesleuth-tiny", ["aus=guessed"], "aus = 'guessed' is unknown", id="unknown choice"),
    pytest.param("facesleuth-tiny", ["options.atention=soa"], "did you mean attention", id="unknown option"),
    pytest.param("facesleuth-tiny", ["options.size=64"], "facesleuth has no option 'size'", id="not an option"),
    pytest.param("facesleuth-tiny", ['options.embed_dim="x"'], "recipe facesleuth-tiny: ", id="option of a wrong type"),
    pytest.param("facesleuth-tiny", ["options.attention=sao"], "'sao'", id="unknown attention"),
]


@pytest.mark.parametrize(("model", "settings", "message"), BAD)
def test_a_wrong_recipe_says_what_to_write(model, settings, message):
    with pytest.raises(MerError, match=message):
        load_recipe(model, parse_settings(settings))
