#!/usr/bin/env bash
# setup.sh FOLDER: installs the JavaScript client of the common scenario below FOLDER, of a pinned version, and says so; does
# nothing where they are there. The end-to-end test runs it before it enters its network namespace.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1

# It is marked with what it was made of once it is whole.
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
