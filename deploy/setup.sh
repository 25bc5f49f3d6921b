#!/bin/sh
# Makes the virtual environment $1 with a Python from 3.11 to 3.13; `make` calls it.
# Where python3 or its venv module is missing and we are root on Debian, both are installed; else it says what to do.
set -eu
venv=$1

suits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

choose() {
    for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if suits "$python"; then
            echo "$python"
            return
        fi
    done
}

python=$(choose)
if [ -z "$python" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing python3 and python3-venv" >&2
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv >/dev/null
    python=$(choose)
fi
if [ -z "$python" ]; then
    echo "Apportion needs Python 3.11, 3.12 or 3.13 with its venv module (on Debian: apt install python3 python3-venv)." >&2
    echo "If one is installed elsewhere: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi
exec "$python" -m venv "$venv"
