# Sourced by the other scripts: leaves the interpreter in $py and the build tools on the path.
# PYTHON=... uses that interpreter as it is; otherwise .venv is made and kept up to date.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "== $*" >&2; }
die() { echo "error: $*" >&2; exit 1; }

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  die "Python 3.11 or newer is needed"
}

# The packages that pyproject.toml names for running and for the extras given.
requirements() {
  "$py" - "$@" <<'PY'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
print(*project["dependencies"], *(r for name in sys.argv[1:] for r in extras[name]), sep="\n")
PY
}

# use_env EXTRA...: an environment with what flambeau and these extras need.
use_env() {
  if [ -n "${PYTHON:-}" ]; then
    py=$PYTHON
    return
  fi
  if [ ! -x .venv/bin/python ]; then
    local base
    base=$(find_python)
    say "making .venv with $("$base" --version)"
    "$base" -m venv .venv || die "the venv module is missing: install python3-venv"
  fi
  py=$PWD/.venv/bin/python
  PATH=$PWD/.venv/bin:$PATH
  local stamp=.venv/.installed-$(IFS=-; echo "${*:-base}")
  if [ ! "$stamp" -nt pyproject.toml ]; then
    local packages
    mapfile -t packages < <(requirements "$@")
    say "installing ${packages[*]}"
    "$py" -m pip install --quiet --disable-pip-version-check "${packages[@]}"
    touch "$stamp"
  fi
}

# Finds a compiler, cmake 3.25 and ninja; the last two come from the package index if missing.
use_build_tools() {
  local compiler=${CXX:-} name
  for name in c++ g++ clang++; do
    [ -n "$compiler" ] || compiler=$(command -v "$name" || true)
  done
  [ -n "$compiler" ] || die "a C++20 compiler is needed, such as g++ 12"
  "$py" -c 'import os, sys, sysconfig as s
sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' ||
    die "Python.h is missing: install the Python headers (python3-dev)"
  local wanted=()
  cmake_works || wanted+=("cmake>=3.25")
  command -v ninja >/dev/null || wanted+=(ninja)
  if [ ${#wanted[@]} -gt 0 ]; then
    say "installing ${wanted[*]}"
    "$py" -m pip install --quiet --disable-pip-version-check "${wanted[@]}"
    PATH=$(dirname "$py"):$PATH
    hash -r
  fi
}

cmake_works() {
  local version
  version=$(cmake --version 2>/dev/null | sed -n 's/^cmake version //p')
  [ "$(printf '%s\n' 3.25 "$version" | sort -V | head -1)" = 3.25 ]
}
