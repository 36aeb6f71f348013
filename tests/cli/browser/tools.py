"""Chromium and its driver: those on the PATH, else those of Debian's packages, which
``python -m tests.cli.browser.tools FOLDER`` downloads and unpacks without root.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.debian import provide, unpack

NAMES = ("chromium", "chromedriver")
PACKAGES = ("chromium", "chromium-driver")
PATIENCE = 600  # seconds for an answer of the browser, on a machine that does much else


class Tools:
    """The paths of the programs. Raises FileNotFoundError, naming the ways to get them, where one is missing."""

    def __init__(self, folder=None):
        self.folder = Path(folder or os.environ.get("RANVIER_BROWSER") or "browser").absolute()
        own = {"chromium": "usr/lib/chromium/chromium", "chromedriver": "usr/bin/chromedriver"}
        self.paths = {name: shutil.which(name) or self._unpacked(own[name]) for name in NAMES}
        missing = [name for name, path in self.paths.items() if path is None]
        if missing:
            raise FileNotFoundError(
                f"{', '.join(missing)} not found: install Debian's {' and '.join(PACKAGES)}, or write `make test-page` "
                "where apt-get is."
            )
        libraries = sorted({str(p.parent) for p in self.folder.glob("usr/lib/*-linux-gnu*/**/*.so*")})
        before = os.environ.get("LD_LIBRARY_PATH")
        found = [*libraries, *([before] if before else [])]
        self.environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(found)} if libraries else None

    def _unpacked(self, name):
        path = self.folder / name
        return str(path) if path.exists() else None

    def browser(self, width=1400, height=1000, phone=False, dark=False):
        """A headless browser with a window of this size."""
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = self.paths["chromium"]
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"):
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"download.default_directory": str(self.folder / "downloads")})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(self.paths["chromedriver"], env=self.environment)
        driver = webdriver.Chrome(options=options, service=service)
        driver.command_executor.client_config.timeout = PATIENCE
        driver.set_script_timeout(PATIENCE)
        if phone:
            metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        if dark:
            features = [{"name": "prefers-color-scheme", "value": "dark"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        return driver


def fetch(folder):
    """Unpack the packages that are not installed, with what they need, into ``folder``."""
    plan = subprocess.run(
        ["apt-get", "install", "--simulate", "--no-install-recommends", "-qq", *PACKAGES],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    unpack([line.split()[1] for line in plan.stdout.splitlines() if line.startswith("Inst ")], folder)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    provide(lambda: Tools(folder), lambda: fetch(folder), "No tests of the page in a browser")
