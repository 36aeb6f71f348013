"""The page in a real browser: each view is opened and used, and the numbers that it shows are the library's."""

import base64
import re

import numpy as np
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

import ranvier as rv
from ranvier.cli.page import networks, sources
from ranvier.cli.page.networks import probabilities
from ranvier.cli.page.settings import Settings
from tests.cli.browser.views import View, shown


def test_an_epoch_and_a_step_with_every_number(view):
    view.click("epoch")
    view.until(lambda: view.text("now-epoch") == "1")
    settings = Settings()
    with rv.tensor.rng.seed_scope(0):
        source = sources.load(settings, {})
        network = networks.build(settings, source)
        model = network.model
        model.fit(source.x, network.y, batch_size=16, epochs=1, verbose=0)
        step = model.explain_step(source.x[0], network.y[0])
        loss, _ = model.evaluate(source.x, network.y, batch_size=len(source.x), verbose=0)
        test_loss, accuracy = model.evaluate(source.x_test, network.y_test, batch_size=len(source.x_test), verbose=0)
    assert [view.text(f"now-{name}") for name in ("loss", "test", "metric")] == [
        shown(loss), shown(test_loss), f"{100 * accuracy:.1f} %"
    ]  # fmt: skip
    view.click("tab-steps")
    view.until(lambda: view.driver.find_elements(By.ID, "step-loss"))
    view.picture(f"steps-{view.driver.kind}")
    assert f"binary_crossentropy = {float(f'{step.loss:.6g}')}" in view.text("step-loss")
    cells = {}
    for name in ("forward", "backward", "update"):
        tables = view.driver.find_elements(By.CSS_SELECTOR, f".stage.{name} table")
        cells[name] = [
            [[c.get_attribute("textContent") for c in row.find_elements(By.TAG_NAME, "td")] for row in t.find_elements(By.CSS_SELECTOR, "tbody tr")]
            for t in tables
        ]  # fmt: skip
    for k, layer in enumerate(step.layers):
        assert [row[2:] for row in cells["forward"][k]] == [
            [shown(z), shown(a)] for z, a in zip(layer.sums[0], layer.outputs[0], strict=True)
        ]
        assert [row[-1] for row in cells["backward"][2 - k]] == [shown(d) for d in layer.deltas[0]]
        kernel, bias = layer.weights["kernel"], layer.weights["bias"]
        found = [row[-3:] for row in cells["update"][k]]
        expected = [
            [shown(part[place]) for part in (w.gradient, w.before, w.after)]
            for w in (kernel, bias)
            for place in np.ndindex(w.before.shape)
        ]
        assert found == expected
    view.click("step-apply")
    view.until(lambda: view.session.steps == 15)
    with rv.tensor.rng.seed_scope(0):
        model.train_on_batch(source.x[:1], network.y[:1])
    for own, other in zip(view.session.network.model.get_weights(), model.get_weights(), strict=True):
        assert own.shape == other.shape


def test_training_by_keys_and_the_views_while_it_trains(view):
    view.data("moons")
    body = view.one("body .top h1")
    ActionChains(view.driver).move_to_element(body).click().send_keys(Keys.SPACE).perform()
    view.until(lambda: view.session.running and view.session.steps > 100)
    view.driver.execute_script(
        "window.changes = 0; new MutationObserver(() => window.changes++).observe(document.getElementById('now-epoch'),"
        "{childList: true})"
    )
    assert "histograms" not in view.session.watched
    view.click("tab-histograms")
    view.until(lambda: "histograms" in view.session.watched)
    view.until(lambda: len(view.driver.find_elements(By.CSS_SELECTOR, "#view-histograms figure")) == 6)
    view.until(lambda: view.driver.execute_script("return window.changes") > 12)  # how often a second: `test_costs`
    view.picture(f"histograms-{view.driver.kind}")
    view.driver.execute_script("document.activeElement.blur()")  # a space on a tab chooses it
    ActionChains(view.driver).send_keys(Keys.SPACE).perform()
    view.until(lambda: not view.session.running and view.text("run") == "Train")
    frame = view.session.frames.scores()
    view.until(lambda: view.text("now-loss") == shown(frame["loss"]))
    histogram = view.session.frames.histograms()["histograms"][0]["gradients"]
    assert shown(float(f"{histogram['size']:.3g}")) in view.text("#view-histograms figure:nth-of-type(2)")
    view.rebuilt(lambda: view.click("reset"))
    ActionChains(view.driver).send_keys("e").perform()
    view.until(lambda: view.text("now-epoch") == "1")
    view.one("tab-histograms").send_keys(Keys.ARROW_LEFT)
    view.until(lambda: len(view.driver.find_elements(By.CSS_SELECTOR, "#view-curves polyline")) == 8)  # two runs
    view.picture(f"curves-{view.driver.kind}")


def test_by_keyboard_alone(view):
    """Data, layers, training, views, a step and the program, without a mouse; what has the focus is seen and named."""
    keys = ActionChains(view.driver)
    focus = (
        "const e = document.activeElement, r = e.getBoundingClientRect(), top = document.elementFromPoint("
        "Math.min(innerWidth - 2, r.x + r.width / 2), Math.min(innerHeight - 2, r.y + Math.min(r.height, 40) / 2));"
        "return [e.id || e.dataset.set || e.dataset.setting || e.getAttribute('aria-label') || e.className || e.value || e.tagName,"
        "e === top || e.contains(top) || (top !== null && top.contains(e)) || r.width < 2 || r.height > innerHeight / 2, getComputedStyle(e).outlineStyle]"
    )

    def tab_to(name):
        for _ in range(60):
            keys.send_keys(Keys.TAB).perform()
            found, is_seen, outline = view.driver.execute_script(focus)
            if found == "BODY":  # the end of the page
                continue
            assert is_seen, found
            assert outline == "solid", found
            if found == name:
                return
        raise AssertionError(f"the tab key does not lead to {name}")

    view.driver.execute_script("document.activeElement.blur()")
    tab_to("circles")
    view.rebuilt(lambda: keys.send_keys(Keys.ARROW_RIGHT).perform())
    assert view.session.settings.data == "xor"
    tab_to("more units in layer 1")
    view.rebuilt(lambda: keys.send_keys(Keys.ENTER).perform())
    tab_to("activation-0")
    view.rebuilt(lambda: keys.send_keys(Keys.ARROW_UP).perform())
    tab_to("add-layer")
    view.rebuilt(lambda: keys.send_keys(Keys.ENTER).perform())
    layers = view.session.settings.layers
    assert [(layer.units, layer.activation) for layer in layers[:2]] == [(5, "relu"), (3, "tanh")]
    assert len(layers) == 3
    keys.send_keys("e").perform()
    view.until(lambda: view.text("now-epoch") == "1")
    said = view.driver.execute_script("return document.getElementById('status').textContent")
    assert said == (
        f"epochs 1, training loss {view.text('now-loss')}, test loss {view.text('now-test')}, "
        f"test accuracy {view.text('now-metric')}"
    )
    tab_to("tab-curves")
    keys.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    view.until(lambda: view.driver.find_elements(By.ID, "step-loss"))
    steps = view.session.steps
    tab_to("step-apply")
    keys.send_keys(Keys.ENTER).perform()
    view.until(lambda: view.session.steps == steps + 1)
    view.until(lambda: view.driver.execute_script("return document.activeElement.id") == "step-apply")  # and it stays
    view.one("tab-steps").send_keys(Keys.ARROW_RIGHT)
    view.until(lambda: "rv.Sequential" in view.text("code"))
    tab_to("ranvier")
    keys.send_keys(Keys.ARROW_RIGHT).perform()
    view.until(lambda: "keras.Sequential" in view.text("code"))


def test_the_network_is_changed_and_saved(view, tmp_path):
    view.data("hills")
    view.rebuilt(lambda: view.click("add-layer"))
    assert [layer.units for layer in view.session.settings.layers] == [4, 3, 3]
    view.rebuilt(lambda: view.click(".column:nth-child(2) .pm button:last-child"))
    view.rebuilt(lambda: view.choose("[data-setting=activation-0]", "relu"))
    assert view.session.settings.layers[0] == type(view.session.settings.layers[0])("dense", 5, "relu")
    view.rebuilt(lambda: view.choose("[data-setting=loss]", "mae"))
    version = view.session.version
    view.choose("[data-setting=rate]", "0.1")
    view.until(lambda: float(view.session.network.model.optimizer.learning_rate) == 0.1)
    assert view.session.version == version  # the rate changes nothing else
    view.click("step")
    view.until(lambda: view.session.steps == 1)
    view.click("tab-export")
    view.until(lambda: "Dense(5" in view.text("code"))
    view.picture(f"export-{view.driver.kind}")
    name = view.driver.execute_async_script(
        "const done = arguments[0]; import('/static/api.js').then(async (m) => {"
        "const blob = await m.download('model', {format: '.ranvier'}); const bytes = new Uint8Array(await blob.arrayBuffer());"
        "done(btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join('')))})"
    )
    (tmp_path / "model.ranvier").write_bytes(base64.b64decode(name))
    report = view.driver.execute_async_script(
        "const done = arguments[0]; import('/static/api.js').then(async (m) => done(await (await m.download('report', {lang: 'zh'})).text()))"
    )
    assert "<html" in report
    x = view.session.source.x_test
    loaded = rv.load_model(tmp_path / "model.ranvier")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), view.session.network.model.predict(x, verbose=0))


def test_points_set_by_mouse_and_keys(view):
    view.click("[data-set=points]")
    plane = view.one("plane")
    view.until(lambda: "four points" in view.text("message"))
    view.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", plane)
    for x, y in ((-60, -60), (-80, -40)):
        ActionChains(view.driver).move_to_element_with_offset(plane, x, y).click().perform()
    view.choose("place-class", "1")
    keys = [Keys.ARROW_RIGHT] * 8 + [Keys.ENTER] + [Keys.ARROW_DOWN] * 6
    plane.send_keys(*keys)
    view.rebuilt(lambda: plane.send_keys(Keys.ENTER))
    placed = view.session.settings.placed
    assert placed[2:] == ((0.4, 0.0, 1), (0.4, -0.3, 1))
    size = plane.size["width"]
    np.testing.assert_allclose(placed[0][:2], (-120 / size * 1.1, 120 / size * 1.1), atol=0.02)
    view.driver.get_log("browser")  # the refusal before there were four points


def test_images_are_drawn_and_looked_into(view):
    view.data("digits")
    view.click("epoch")
    view.until(lambda: view.text("now-epoch") == "1")
    model, source = view.session.network.model, view.session.source
    rows = view.driver.execute_script("return import('/static/state.js').then((m) => m.state.built.data.rows)")
    view.click(".thumbs button:nth-child(4)")
    expected = probabilities(model.predict(source.x_test[rows[3] : rows[3] + 1], verbose=0))[0]

    def bars():
        return [bar.text for bar in view.driver.find_elements(By.CSS_SELECTOR, "#bars output")]

    chosen = [f"{100 * p:.1f} %" for p in expected]
    view.until(lambda: bars() == chosen)
    pad = view.one("pad")
    view.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", pad)
    ActionChains(view.driver).move_to_element_with_offset(pad, -30, -60).click_and_hold().move_by_offset(60, 0).move_by_offset(-40, 120).release().perform()  # fmt: skip
    view.until(lambda: bars() and bars() != chosen)
    before = bars()
    pad.send_keys(Keys.SPACE, *[Keys.ARROW_LEFT] * 4, Keys.SPACE)
    view.until(lambda: bars() != before)
    assert len(view.driver.find_elements(By.CSS_SELECTOR, "#maps .strip")) == 3  # kernels, and maps of two layers
    assert len(view.driver.find_elements(By.CSS_SELECTOR, "#seen canvas")) == 2
    view.picture(f"images-{view.driver.kind}")
    assert not view.session.running


def test_a_table_is_uploaded(view, tmp_path):
    rng = np.random.default_rng(0)
    lines = ["size,weight,colour,price"]
    for _ in range(60):
        size = rng.uniform(1, 9)
        lines.append(f"{size:.2f},{2 * size + rng.normal():.2f},{rng.choice(['red', 'green'])},{10 * size:.1f}")
    (tmp_path / "things.csv").write_text("\n".join(lines))
    view.click("[data-set=table]")
    view.rebuilt(lambda: view.one("file").send_keys(str(tmp_path / "things.csv")))
    assert Select(view.one("[data-setting=target]")).first_selected_option.text == "price"
    view.click("epoch")
    view.until(lambda: view.text("now-epoch") == "1")
    predicted = view.session.frames.rows()["predicted"]
    view.until(lambda: view.text("#table-part tbody tr:nth-child(2) td:nth-child(2)") == shown(predicted[1]))
    neurons = np.frombuffer(base64.b64decode(view.session.frames.rows()["rowNeurons"][0]), np.uint8).reshape(-1, 4)
    view.click("#table-part tbody tr:nth-child(4)")
    ActionChains(view.driver).send_keys(Keys.ARROW_UP).perform()
    shown_neurons = (
        "return import('/static/state.js').then((m) => { const { row, frame } = m.state;"
        "return Array.from(atob(frame.rowNeurons[0]), (c) => c.charCodeAt(0)).slice(4 * row, 4 * row + 4) })"
    )
    assert view.driver.execute_script(shown_neurons) == neurons[2].tolist()
    view.rebuilt(lambda: view.choose("[data-setting=target]", "colour"))
    assert view.session.source.classes == ("green", "red")
    view.picture(f"table-{view.driver.kind}")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3\n")
    view.one("file").send_keys(str(tmp_path / "bad.csv"))
    view.until(lambda: "line" in view.text("message"))
    assert str(tmp_path) not in view.text("message")
    view.choose("language", "zh")
    view.until(lambda: "第 3 行有 1 个字段" in view.text("message"))
    view.choose("language", "en")
    view.driver.get_log("browser")  # the refusal


def test_the_page_in_chinese_fits_the_screen(view):
    view.choose("language", "zh")
    view.until(lambda: view.text("data-title") == "数据")
    for name in ("curves", "histograms", "steps"):
        view.click(f"tab-{name}")
        view.until(lambda name=name: view.text(f"view-{name}"))
        assert view.driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
    view.picture(f"chinese-{view.driver.kind}")
    words = view.text("body .top") + view.text("body main")
    assert not re.search(r"undefined|\{0\}|NaN", words)
    assert view.driver.execute_script("return document.documentElement.lang") == "zh-CN"
    view.choose("language", "en")


def test_two_pages_and_one_that_is_closed_while_it_trains(view, served):
    first = view.session
    view.click("run")
    view.until(lambda: first.running and first.steps > 10)
    view.driver.switch_to.new_window("tab")
    second = View(view.driver, served)
    second.click("run")
    second.until(lambda: second.session.running and second.session.steps > 10)
    other = second.session
    view.driver.close()
    view.driver.switch_to.window(view.driver.window_handles[0])
    view.until(lambda: not other.running)
    assert first.running
    view.sessions.drop(next(name for name, s in view.sessions.known.items() if s is other))


def test_a_page_elsewhere_learns_nothing(view):
    """Another origin may send, and the server refuses before it does anything."""
    count = len(view.sessions.known)
    view.driver.switch_to.new_window("tab")
    view.driver.get("data:text/html,<title>elsewhere</title>")
    answer = view.driver.execute_async_script(
        "const done = arguments[1]; fetch(arguments[0] + 'api/open', {method: 'POST', headers: {'X-Token': 'secret-token'}})"
        ".then((r) => done(r.status), (e) => done(String(e)))",
        f"http://127.0.0.1:{view.port}/",
    )
    assert "Failed to fetch" in str(answer)
    assert len(view.sessions.known) == count
    view.driver.get_log("browser")
    view.driver.close()
    view.driver.switch_to.window(view.driver.window_handles[0])
