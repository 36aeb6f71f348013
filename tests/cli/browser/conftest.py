"""The browser, and the server of a page."""

import threading
from importlib.util import find_spec

import pytest

from ranvier.cli import page
from tests.cli.browser.tools import Tools

if find_spec("selenium") is None:  # make test-page installs it
    collect_ignore = ["test_browser.py", "test_opened.py"]


@pytest.fixture(scope="session")
def tools():
    try:
        return Tools()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def serve():
    """A function that serves a page with data to begin with: its port and its sessions."""
    from tests.cli.browser.views import TOKEN

    running = []

    def serve(given=None, start=None):
        server, listening, sessions = page.served(given or {}, start or {}, None, TOKEN)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((server, thread))
        return listening.getsockname()[1], sessions

    yield serve
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def served(serve):
    return serve()


@pytest.fixture(scope="module", params=["desktop", "phone"])
def driver(request, tools):
    phone = request.param == "phone"
    found = tools.browser(*((390, 844) if phone else (1400, 1000)), phone=phone, dark=phone)
    found.kind = request.param
    yield found
    found.quit()


@pytest.fixture
def view(driver, served):
    from tests.cli.browser.views import View

    found = View(driver, served)
    yield found
    found.close()
