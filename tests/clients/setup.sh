#!/usr/bin/env bash
# setup.sh FOLDER: installs the clients of the common scenario below FOLDER, each of a pinned version, and says so; does
# nothing where they are there. The end-to-end test runs it before it enters its network namespace.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1

# Each is marked with what it was made of once it is whole.
python=$folder/python
if ! cmp -s "$here/python/requirements.txt" "$python/installed"; then
  echo "tests/clients/setup.sh: installing the Python client into $python"
  rm -rf "$python"
  # A folder of its own disturbs no other package of this machine's, whatever pip warns of.
  timeout 300 python3 -m pip install --quiet --disable-pip-version-check --no-deps --root-user-action=ignore \
    --target "$python" -r "$here/python/requirements.txt"
  cp "$here/python/requirements.txt" "$python/installed"
fi
javascript=$folder/javascript
if ! cmp -s "$here/javascript/package-lock.json" "$javascript/installed"; then
  echo "tests/clients/setup.sh: installing the JavaScript client into $javascript"
  rm -rf "$javascript"
  mkdir -p "$javascript"
  cp "$here/javascript/package.json" "$here/javascript/package-lock.json" "$javascript"
  (cd "$javascript" && timeout 300 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  cp "$here/javascript/package-lock.json" "$javascript/installed"
fi
# Modules are found by where the script lies.
cp "$here/javascript/scenario.mjs" "$javascript"
