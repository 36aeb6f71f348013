"""An open page in a browser, as the tests use it."""

import base64
import os
import re
import time
from pathlib import Path

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from ranvier.cli.page.frames import PARTS

TOKEN = "secret-token"
PICTURES = os.environ.get("RANVIER_PICTURES")  # a folder for pictures of each view, to look at


class View:
    """An open page: what a person does with it, and what it shows."""

    def __init__(self, driver, served):
        self.driver, (self.port, self.sessions) = driver, served
        self.before = set(self.sessions.known)
        driver.get("about:blank")
        driver.get(f"http://127.0.0.1:{self.port}/#{TOKEN}")
        self.until(lambda: self.text("now-loss") not in ("", "–"))
        self.until(lambda: self.session.watched != PARTS)  # the page has said what it shows
        if Select(self.one("language")).first_selected_option.get_attribute("value") != "en":  # of a test that failed
            self.choose("language", "en")

    @property
    def session(self):
        (name,) = set(self.sessions.known) - self.before
        return self.sessions.known[name]

    def until(self, condition, seconds=60):
        """Wait for a condition. A pause of the whole machine counts as a moment."""
        waited, before = 0.0, time.monotonic()
        while not self.holds(condition):
            assert waited < seconds, f"it takes too long; the page says {self.text('message')!r}"
            time.sleep(0.03)
            now = time.monotonic()
            waited, before = waited + min(now - before, 1.0), now

    @staticmethod
    def holds(condition):
        try:
            return condition()
        except (NoSuchElementException, StaleElementReferenceException):  # the page draws it anew meanwhile
            return False

    def one(self, place):
        return self.driver.find_element(By.CSS_SELECTOR if re.search(r"[\[.# ]", place) else By.ID, place)

    def text(self, place):
        return self.one(place).text

    def click(self, place):
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", self.one(place))
        self.one(place).click()

    def choose(self, place, value):
        Select(self.one(place)).select_by_value(value)

    def rebuilt(self, action):
        """Do what builds a new network, and wait for it."""
        version = self.session.version
        action()
        self.until(
            lambda: (
                self.session.version > version
                and self.own("state", "m.state.frame?.version ?? 0") == self.session.version
            )
        )

    def own(self, module, expression):
        """The value of an expression of what one of the page's modules, ``m``, exports."""
        return self.driver.execute_script(f"return import('/static/{module}.js').then((m) => {expression})")

    def data(self, name):
        self.rebuilt(lambda: self.click(f"[data-set={name}]"))

    def picture(self, name):
        if PICTURES:
            shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            (Path(PICTURES) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        errors = [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
        for name in set(self.sessions.known) - self.before:
            self.sessions.drop(name)
        assert not errors


def shown(value):
    """A number as the page writes it."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e6 or size < 1e-4:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    else:
        text = repr(float(f"{value:.4g}")).removesuffix(".0")
    return text.replace("-", "−")
