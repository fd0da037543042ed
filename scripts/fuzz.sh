#!/usr/bin/env bash
# scripts/fuzz.sh TARGET|all SECONDS
# Fuzzes with libFuzzer and AddressSanitizer on the stable toolchain. What it finds lies in
# fuzz/artifacts/TARGET: fix it, then move the bytes to fuzz/regressions/TARGET, which a normal test replays.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
target="${1:?usage: scripts/fuzz.sh TARGET|all SECONDS}"
seconds="${2:-600}"
triple="$(rustc -vV | sed -n 's/^host: //p')"

# Sanitizers and coverage hooks are unstable flags; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Zsanitizer=address -Ccodegen-units=1"
cargo build --release --target "$triple"

if [ "$target" = all ]; then
    targets="$(ls fuzz_targets | sed 's/\.rs$//')"
else
    targets="$target"
fi
for name in $targets; do
    mkdir -p "corpus/$name/auto" "artifacts/$name" "regressions/$name"
    echo "fuzz: $name for $seconds s"
    "target/$triple/release/$name" "corpus/$name/auto" "regressions/$name" \
        -max_total_time="$seconds" -max_len=8192 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="artifacts/$name/"
done
