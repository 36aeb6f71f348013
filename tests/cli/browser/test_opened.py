"""The page with what the command line gives: a run, a model of several outputs, one of a class of one's own."""

import base64
import signal
import subprocess
import sys

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import ranvier as rv
from ranvier.cli.page.given import begun_with
from ranvier.cli.page.session import Session
from ranvier.cli.page.settings import Settings
from tests.cli.browser.views import View, shown
from tests.cli.test_page_models import TINY, of_program, saved, sequence, two_inputs, words


def things(folder):
    """The folder of a run on a small table."""
    sizes = np.random.default_rng(0).uniform(1, 9, 60)
    rows = [f"{n:.2f},{'red' if n % 1 > 0.5 else 'green'},{'big' if n > 5 else 'small'}" for n in sizes]
    (folder / "things.csv").write_text("\n".join(["size,colour,kind", *rows]))
    rv.auto.train(folder / "things.csv", "kind", folder / "run", trials=1, folds=2, settings={"epochs": 4, "width": 4})
    return folder / "run", None


MODELS = {
    "run": things,
    "own": lambda folder: of_program(folder, "Skip"),
    "convolutions": lambda folder: of_program(folder, "Convolutions", (1, 8, 8)),
    "outputs": lambda folder: of_program(folder, "KindAndSize", 4, 3),
    "inputs": lambda folder: (saved(folder, two_inputs()), None),
    "texts": lambda folder: (saved(folder, words()), None),
    "sequence": lambda folder: (saved(folder, sequence()), None),
}


@pytest.fixture(scope="module")
def pages(serve, tmp_path_factory):
    """The pages of `MODELS`, each with its server."""
    return {name: serve(*begun_with(*make(tmp_path_factory.mktemp(name)))) for name, make in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
def test_it_opens_trains_and_fits_the_screen_in_both_languages(name, pages, driver):
    view = View(driver, pages[name])
    session = view.session
    assert view.one("[data-set=given]").get_attribute("aria-checked") == "true"
    assert not driver.find_elements(By.CSS_SELECTOR, "[data-setting=noise]")  # of other data
    view.click("epoch")
    view.until(lambda: view.text("now-epoch") == "1" and not session.running)
    assert view.text("now-loss") == shown(session.frames.scores()["loss"])
    for language in ("en", "zh"):
        view.choose("language", language)
        for tab in ("curves", "histograms", "steps", "export"):
            view.click(f"tab-{tab}")
            view.until(lambda tab=tab: len(view.text(f"view-{tab}")) > 20)
            assert driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
            assert view.text("message") == ""
            view.picture(f"{name}-{language}-{tab}-{driver.kind}")
    view.choose("language", "en")
    view.close()


def test_a_page_that_closes_ends_nothing_and_ctrl_c_ends_all(tools, driver):
    """The program itself, in a process of its own: a page is closed while it trains, another stays open."""
    command = [sys.executable, "-m", "ranvier", "page", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        assert program.stdout is not None
        address = program.stdout.readline().split()[-1]

        def opened():
            driver.get(address)
            WebDriverWait(driver, 60).until(lambda d: d.find_element(By.ID, "now-loss").text not in ("", "–"))
            driver.find_element(By.ID, "run").click()
            WebDriverWait(driver, 60).until(lambda d: float(d.find_element(By.ID, "now-epoch").text) > 3)

        for _ in range(3):
            driver.get("about:blank")
            opened()
        for _ in range(2):
            program.send_signal(signal.SIGINT)
        said = program.communicate(timeout=120)[0]
    assert (program.returncode, said.splitlines()[-1], "Traceback" in said) == (130, "stopped", False)
    WebDriverWait(driver, 60).until(lambda d: "has ended" in d.find_element(By.ID, "message").text)
    assert driver.find_element(By.ID, "run").text == "Train"
    driver.get_log("browser")  # the end of the connection


def test_of_several_outputs_one_is_chosen(pages, driver):
    view = View(driver, pages["outputs"])
    view.click("epoch")
    view.until(lambda: view.text("now-epoch") == "1" and view.text("metric-word") == "test accuracy")
    view.rebuilt(lambda: view.one("output-shown").send_keys(Keys.ARROW_DOWN))  # by keys, and the choice keeps the focus
    view.until(lambda: view.text("metric-word") == "test error (MAE)")
    assert view.own("dom", "document.activeElement.id") == "output-shown"
    view.until(lambda: view.text("now-metric") == shown(view.session.frames.scores()["testMetric"]))
    assert view.text("now-epoch") == "1"
    predicted = view.session.frames.rows()["predicted"]
    assert view.text("#table-part tbody tr:nth-child(2) td:nth-child(2)") == shown(predicted[1])
    report = driver.execute_async_script(
        "const done = arguments[0]; import('/static/api.js').then(async (m) => done(await (await m.download('report', {lang: 'en'})).text()))"
    )
    assert "mean absolute error" in report
    view.click("tab-steps")
    view.until(lambda: "mean_squared_error" in view.text("step-loss"))
    view.close()


def test_a_run_shows_its_data_and_hands_out_its_report(pages, driver):
    view = View(driver, pages["run"])
    said = view.text("run-part")
    assert "number, " in said
    assert "target" in said
    assert view.text("#run-part p") == view.own("state", "m.state.run.en.result")
    view.click("tab-export")
    view.until(lambda: "rv.Model" in view.text("code"))
    name, report = driver.execute_async_script(
        "const done = arguments[0]; import('/static/api.js').then(async (m) => { const blob = await m.download('report', {lang: 'zh', of: 'run'});"
        "done(['run-report', btoa(Array.from(new Uint8Array(await blob.arrayBuffer()), (b) => String.fromCharCode(b)).join(''))]) })"
    )
    assert name in view.text("run-report")
    assert "如何重现" in base64.b64decode(report).decode()
    view.data("moons")  # another data set: the run is out of sight
    assert not view.one("run-part").is_displayed()
    view.data("given")
    assert view.one("run-part").is_displayed()
    view.close()


def test_a_run_of_several_numbers_shows_each(tmp_path):
    lines = ["size,a,b", *(f"{k % 9},{k % 9 * 2 + 0.5},{5 - k % 7}" for k in range(40))]
    (tmp_path / "two.csv").write_text("\n".join(lines))
    rv.auto.train(tmp_path / "two.csv", ["a", "b"], tmp_path / "run", **TINY)
    given, start = begun_with(tmp_path / "run")
    session = Session(given)
    assert session.build(Settings.of(start))["outputs"] == ["a", "b"]
    said = session.network.model.predict(session.source.x_test, verbose=0)
    for k in range(2):
        session.show(k)
        frame = session.frames.frame(0.0, 0)
        np.testing.assert_allclose(frame["predicted"], said[:12, k], rtol=1e-5)
        np.testing.assert_allclose(frame["testMetric"], np.abs(said[:, k] - session.source.y_test).mean(), rtol=1e-4)
    session.close()
