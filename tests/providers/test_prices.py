"""What calls cost: the table, the operator's own file, and figures of providers that can't be."""

from decimal import Decimal

import pytest

from app import config, runtime
from app.config import BadSettings
from app.providers import prices, registry
from app.providers.prices import BadPrices, Prices

USD = Decimal
TABLE = Prices(
    {
        ("painter", "large"): {"each": USD("0.20")},
        ("painter", "*"): {
            "each": USD("0.05"),
            "input_token": USD("0.000005"),
            "output_token": USD("0.00003"),
        },
        ("sculptor", "*"): {"credit": USD("0.02")},
        ("charity", "*"): {"each": USD(0)},
    }
)
GOOD = """
[[price]]
provider = "painter"
model = "*"
each = 0.07
as_of = 2026-11-20
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "prices.toml"
        path.write_text(text)
        return path

    return write


def faults(path):
    with pytest.raises(BadPrices) as caught:
        prices.load(path)
    return str(caught.value).splitlines()


class TestCost:
    @pytest.mark.parametrize(
        ("provider", "model", "units", "dollars"),
        [
            ("painter", "large", {"each": 1.0}, "0.20"),
            ("painter", "small", {"each": 1.0}, "0.05"),
            ("painter", "small", {"each": 4.0}, "0.20"),
            ("painter", "small", {"input_token": 100.0, "output_token": 1000.0}, "0.0305"),
            ("painter", "small", {"each": 1.0, "output_token": 1000.0}, "0.03"),
            ("painter", "large", {"output_token": 1000.0}, "0.20"),
            ("painter", "large", {"output_token": 1000.0, "each": 2.0}, "0.40"),
            ("painter", "small", {"second": 12.5}, "0.05"),
            ("sculptor", "any", {"credit": 20.0}, "0.40"),
            ("sculptor", "any", {"each": 1.0}, "0"),
            ("charity", "any", {"each": 1.0}, "0"),
            ("nobody", "any", {"each": 1.0}, "0"),
            ("nobody", "any", {"dollar": 0.04}, "0.04"),
            ("painter", "large", {"dollar": 0.04}, "0.04"),
            ("painter", "large", {"dollar": 0.0}, "0"),
            ("painter", "large", {"dollar": 0.04, "each": 1.0}, "0.04"),
            ("painter", "large", {}, "0"),
        ],
    )
    def test_units_times_prices_the_exact_model_first(self, provider, model, units, dollars):
        assert TABLE.cost(provider, model, units) == USD(dollars)

    def test_it_is_told_to_a_millionth(self):
        assert TABLE.cost("nobody", "any", {"dollar": 1 / 3}) == USD("0.333333")
        assert TABLE.cost("nobody", "any", {"dollar": 0.1 + 0.2}) == USD("0.3")

    @pytest.mark.parametrize(
        "amount",
        [
            float("nan"),
            float("inf"),
            float("-inf"),
            -0.01,
            1e308,
            10**400,
            10_001,
            "0.04",
            None,
            True,
            [],
            {},
        ],
    )
    def test_what_can_not_be_costs_nothing_and_raises_nothing(self, amount):
        assert TABLE.cost("nobody", "any", {"dollar": amount}) == 0
        assert TABLE.cost("painter", "small", {"each": amount, "input_token": 5.0, "dollar": 10_000.01}) == 0

    def test_the_most_that_is_believed(self):
        assert TABLE.cost("nobody", "any", {"dollar": 10_000.0}) == 10_000
        assert TABLE.cost("nobody", "any", {"dollar": 10_000.01}) == 0

    def test_one_figure_that_can_not_be_spoils_the_others(self):
        assert TABLE.cost("painter", "small", {"input_token": float("nan"), "output_token": 1000.0}) == 0

    def test_whether_a_price_is_known(self):
        assert TABLE.known("painter", "large")
        assert TABLE.known("painter", "anything")
        assert TABLE.known("charity", "free")
        assert not TABLE.known("nobody", "large")
        assert not Prices().known("painter", "large")


class TestPackaged:
    def test_every_provider_that_is_paid_has_a_price(self):
        table = prices.load()
        for name in {
            "openai",
            "stability",
            "gemini",
            "huggingface",
            "replicate",
            "fal",
            "meshy",
            "revid",
        } & set(registry.HOUSE):
            assert table.known(name, "any model at all") or table.known(name, registry._models()[name]), name

    def test_what_runs_at_home_costs_nothing(self):
        table = prices.load()
        for name in ("sketch", "comfyui", "a1111"):
            assert table.cost(name, "any", {"each": 1.0, "second": 60.0}) == 0

    def test_no_picture_costs_more_than_a_few_dollars(self):
        for (provider, model), units in prices.load().table.items():
            assert units.get("each", 0) <= 5, (provider, model)


class TestOwnFile:
    def test_an_entry_replaces_the_packaged_one_and_leaves_the_others(self, file):
        mine = file(GOOD.replace("painter", "openai"))
        table = prices.load(mine)
        assert table.table["openai", "*"] == {"each": USD("0.07")}
        assert table.table.keys() == prices.load().table.keys()

    def test_an_entry_adds_a_provider(self, file):
        assert prices.load(file(GOOD)).cost("painter", "large", {"each": 2.0}) == USD("0.14")

    def test_an_empty_file_changes_nothing(self, file):
        assert prices.load(file("")) == prices.load()

    def test_prices_are_read_as_they_are_written(self, file):
        table = prices.load(file(GOOD.replace("0.07", "0.1")))
        assert table.cost("painter", "x", {"each": 3.0}) == USD("0.3")

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            (GOOD.replace("0.07", '"0.07"'), "each"),
            (GOOD.replace("0.07", "-0.07"), "each"),
            (GOOD.replace("0.07", "nan"), "each"),
            (GOOD.replace("0.07", "inf"), "each"),
            (GOOD.replace("0.07", "10001"), "each"),
            (GOOD.replace("0.07", "true"), "each"),
            (GOOD.replace("each = 0.07\n", ""), "each"),
            (GOOD.replace("each", "dollar"), "dollar"),
            (GOOD.replace('"painter"', "7"), "provider"),
            (GOOD.replace('provider = "painter"\n', ""), "provider"),
            (GOOD.replace('"*"', '""'), "model"),
            (GOOD.replace("as_of = 2026-11-20\n", ""), "as_of"),
            (GOOD.replace("2026-11-20", '"2026-11-20"'), "as_of"),
        ],
    )
    def test_a_fault_is_named_by_file_entry_and_field(self, file, wrong, field):
        path = file(GOOD + wrong.replace('"*"', '"fine"'))
        [line] = faults(path)
        assert line.startswith(f"{path}: [[price]] 2 (")
        assert f"): {field}: " in line

    def test_all_faults_are_told_at_once(self, file):
        path = file(GOOD + "[[price]]\nmodel = 3\n")
        assert [line.split("): ")[1].split(":")[0] for line in faults(path)] == [
            "provider",
            "model",
            "as_of",
            "each",
        ]

    def test_an_entry_that_comes_twice_is_refused(self, file):
        [line] = faults(file(GOOD + GOOD))
        assert "[[price]] 2 (painter, *): model: has an entry already" in line

    @pytest.mark.parametrize("text", ["[price]\neach = 1\n", "price = 3\n", "price = [1, 2]\n"])
    def test_what_is_no_list_of_entries_is_refused(self, file, text):
        [line] = faults(file(text))
        assert ": price: must be written as [[price]]" in line

    def test_what_else_stands_there_is_refused_by_its_name(self, file):
        [line] = faults(file(GOOD + "[models]\nopenai = 'x'\n"))
        assert ": models: only [[price]] is read from here" in line

    @pytest.mark.parametrize("text", ["each = = 3", "\x00", "[[price"])
    def test_what_is_no_toml_is_refused(self, file, text):
        assert "is not TOML" in faults(file(text))[0]

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        assert faults(tmp_path / "gone.toml") == [
            f"{tmp_path / 'gone.toml'}: can't be read: No such file or directory"
        ]


class TestAtTheStart:
    def test_a_wrong_file_keeps_a_process_from_starting(self, settings, file, monkeypatch, tmp_path):
        monkeypatch.setenv("PRICES_FILE", str(file("price = 3")))
        with pytest.raises(BadSettings, match=r"^PRICES_FILE: .*prices\.toml: price: "):
            runtime.build(config.load(tmp_path / "none.env"))

    def test_a_good_one_is_used(self, settings, file, monkeypatch, tmp_path):
        monkeypatch.setenv("PRICES_FILE", str(file(GOOD)))
        rt = runtime.build(config.load(tmp_path / "none.env"))
        assert rt.prices.cost("painter", "any", {"each": 1.0}) == USD("0.07")
        rt.close()
