#!/bin/sh
# The least that a batch costs: one hash of its input, and curl to carry the bytes. Nothing is
# checked, nothing is remembered, nothing is put in order.
#
# usage: floor.sh ENDPOINT INPUT FOLDER LINES: the input goes out in batches of so many lines
# (0: as it is) to $OPENAI_BASE_URL, and the answers come into the folder.
set -eu

endpoint=$1 input=$2 folder=$3 lines=$4

field() {
	sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"
}

ask() {
	curl -sSf -H "Authorization: Bearer $OPENAI_API_KEY" "$@"
}

sha256sum "$input" >"$folder/sum"
if [ "$lines" -eq 0 ]; then
	set -- "$input"
else
	split -l "$lines" "$input" "$folder/part-"
	set -- "$folder"/part-*
fi
batches=
for part in "$@"; do
	file=$(ask -F purpose=batch -F "file=@$part;filename=input.jsonl" "$OPENAI_BASE_URL/files" | field id)
	batch=$(ask -H 'Content-Type: application/json' "$OPENAI_BASE_URL/batches" -d "{
		\"input_file_id\": \"$file\", \"endpoint\": \"$endpoint\", \"completion_window\": \"24h\"}" | field id)
	batches="$batches $batch"
done
for batch in $batches; do
	until seen=$(ask "$OPENAI_BASE_URL/batches/$batch") && [ "$(echo "$seen" | field status)" = completed ]; do
		sleep 0.05
	done
	ask -o "$folder/output-$batch.jsonl" "$OPENAI_BASE_URL/files/$(echo "$seen" | field output_file_id)/content"
done
