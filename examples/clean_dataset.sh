#!/usr/bin/env bash
# Keep the usable faces of a folder of photographs, neutral and upright, and list what was left out.
# Usage: examples/clean_dataset.sh PHOTOS FACES        needs jq
set -euo pipefail
photos="$1" faces="$2"

report="$(mktemp)"
trap 'rm -f "$report"' EXIT
# Exit code 1 says that some pictures failed; which ones is in the report, so the script goes on.
facecycle neutralize "$photos" -o "$faces/" --json --quiet > "$report" 2> /dev/null || [ $? -eq 1 ]

jq -r 'select(.status == "done" and (.faces[0].yaw | fabs) > 40) | .output' "$report" |
    while IFS= read -r result; do
        rm -- "$result" # a profile: half of its neutral face is guesswork
        echo "left out, profile: $result"
    done
jq -r 'select(.status == "failed") | "left out, \(.reason): \(.input)"' "$report"
