#!/usr/bin/env bash
# A tour of facecycle on the pictures in this folder. Usage: examples/tour.sh [FOLDER FOR RESULTS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
out="${1:-../demo/tour}"
mkdir -p "$out"

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

# Frontal and neutral faces of a whole folder; its structure is kept below the output folder.
say facecycle frontalize faces -o "$out/frontal/" --overwrite
say facecycle neutralize faces -o "$out/neutral/" --overwrite

# Every step in one picture: input, flow, neutral face, mean face, reconstruction.
say facecycle neutralize faces/person1_smiling.jpg --grid -o "$out/steps.png" --overwrite

# The neutral face back in the photograph it came from.
say facecycle neutralize faces/person3_smiling.jpg --paste-back -o "$out/pasted.jpg" --overwrite

# A photograph performs a clip: its head pose, its mouth, its sound.
say facecycle translate talker.mpg faces/person2_neutral.jpg -o "$out/talking.mp4" --overwrite

# Two photographs of one person, and of two.
say facecycle verify faces/person1_neutral.jpg faces/person1_smiling.jpg || true
say facecycle verify faces/person1_neutral.jpg faces/person2_neutral.jpg || true

# In a pipeline: pictures through standard input and output.
printf '\n\033[1m$ facecycle neutralize - < faces/person5_smiling.jpg > piped.png\033[0m\n'
facecycle neutralize - < faces/person5_smiling.jpg > "$out/piped.png"

printf '\nResults are in %s\n' "$out"
