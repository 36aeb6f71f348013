"""Tools of tests that come from Debian's packages, downloaded and unpacked into a folder without root."""

import subprocess
import sys


def unpack(packages, folder):
    """Download the packages into ``folder`` and unpack them there."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "-qq", *packages], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package.name, "."], cwd=folder, check=True)
        package.unlink()


def provide(tools, fetch, without):
    """Make the tools, after fetching them where they are missing; say ``without`` what the tests are if that fails."""
    try:
        tools()
    except FileNotFoundError as error:
        try:
            fetch()
            tools()
        except (OSError, subprocess.CalledProcessError) as failure:
            print(f"{without}: {error} (fetching failed: {failure})", file=sys.stderr)
