#!/usr/bin/env bash
# Makes a dictionary for transcripts at rest from the recorded ones: scripts/train-dictionary.sh FILE
# A released dictionary never changes: give a better one the next number in crates/evidence/src/transcripts.rs.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?where to write it}
samples=$(mktemp -d)
trap 'rm -rf "$samples"' EXIT
# Names and times differ from visit to visit: a dictionary that knew them would be for these visits only.
for copy in 1 2 3; do
  for session in transcripts/*/session.txt; do
    name=$(printf '%s %s' "$session" "$copy" | sha256sum | tr -d ' -' | tr 'abcdef0189' 'mnpqrstvwx')
    head -c 20000 "$session" |
      sed "s/028t5cy4tqkff/028t5${name:0:8}/; s/1494575040000000/17${name:10:14}/" > "$samples/$copy.$(basename "$(dirname "$session")")"
  done
done
zstd --quiet --force --train "$samples"/* --maxdict=17408 -o "$out"
