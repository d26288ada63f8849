#!/usr/bin/env bash
# The BIDS validator gives the commit of the user's own repository as its version.
#
# Versions: bids-validator-deno 3.0.2 (with deno 2.9.8), git 2, Python 3.11.
#
# Guess, before it was run: --version prints 3.0.2, the version of the package, wherever it is installed.
#
# Seen: where the virtual environment lies inside a git repository, as a project's .venv does, it prints the short hash of
# that repository's last commit. A log or a methods section that quotes it names another program, and the number
# changes with each commit of the project while the validator stays the same.
#
# Output seen (the commit differs from run to run):
#   package: 3.0.2
#   validator says: the commit of the project
#
# Exits non-zero if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/project"
cd "$folder/project"
git init --quiet
git -c user.name=nobody -c user.email=nobody@example.org commit --quiet --allow-empty --message "a project"
python3 -m venv .venv
.venv/bin/pip install --quiet bids-validator-deno==3.0.2
package=$(.venv/bin/pip show bids-validator-deno 2>/dev/null | sed -n 's/^Version: //p')
said=$(cd / && NO_COLOR=1 "$folder/project/.venv/bin/bids-validator-deno" --version)
echo "package: $package"
if [[ $said == *"$(git rev-parse --short HEAD)"* && $said != *"$package"* ]]; then
  echo "validator says: the commit of the project"
else
  echo "validator says: $said"
  exit 1
fi
