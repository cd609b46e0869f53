"""Run uv with the settings that pip has: `python3 scripts/uv.py sync`.

Where no recent uv is found, the version pinned here is installed by pip into `.uv`, which needs
neither a virtual environment nor rights on the system. uv does not read pip's configuration; a
machine with certificates or package indexes of its own has told pip, and this passes it on.
"""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python is told so
    sys.exit("engine-store needs Python 3.11 or newer; this is " + sys.version.split()[0])

VERSION = "0.13.9"
OLDEST = (0, 9)
ROOT = Path(__file__).resolve().parent.parent
PIP = (sys.executable, "-m", "pip")

SETTINGS = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "no-index": "UV_NO_INDEX",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "trusted-host": "UV_INSECURE_HOST",
}
"""What pip calls a setting, and the variable by which uv takes it."""

COMMA_SEPARATED = {"UV_FIND_LINKS"}


def pip_settings() -> dict[str, str]:
    """Pip's files and variables as uv's variables; pip lists them weakest first."""
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False)
    found = {}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        scope, _, name = key.rpartition(".")
        if name in SETTINGS and scope in {"global", "install", ":env:"}:
            variable = SETTINGS[name]
            separator = "," if variable in COMMA_SEPARATED else " "
            found[variable] = separator.join(str(ast.literal_eval(value)).split())
    if "UV_INDEX" in found:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # the best of all indexes, as pip takes it
    return found


def is_recent(uv: str) -> bool:
    """Whether this uv starts, and is not too old for the workspace's settings."""
    result = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
    words = result.stdout.split()
    return result.returncode == 0 and tuple(map(int, words[1].split(".")[:2])) >= OLDEST


def find_uv() -> str:
    """The uv on the PATH, else the one in `.uv`, installed if it is missing."""
    on_path = shutil.which("uv")
    if on_path and is_recent(on_path):
        return on_path
    home = ROOT / ".uv" / VERSION
    uv = home / "bin" / "uv"
    if not uv.exists():
        print(f"Installing uv {VERSION} into .uv", file=sys.stderr)
        options = ("--quiet", "--disable-pip-version-check", "--root-user-action=ignore")
        command = [*PIP, "install", *options, "--target", str(home), f"uv=={VERSION}"]
        if subprocess.run(command, check=False).returncode:
            sys.exit("uv could not be installed: see what pip says above")
    return str(uv)


def main() -> None:
    """Become uv."""
    environment = {
        **pip_settings(),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        **os.environ,
    }
    environment.pop("VIRTUAL_ENV", None)  # uv would warn that it takes the project's own
    uv = find_uv()
    os.execve(uv, [uv, *sys.argv[1:]], environment)


if __name__ == "__main__":
    main()
