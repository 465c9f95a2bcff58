#!/bin/sh
# The minimal cost of a batch: one hash of its input, and curl to transfer the bytes. Nothing is
# checked, recorded or sorted.
#
# usage: floor.sh ENDPOINT INPUT FOLDER LINES: submit the input in batches of LINES lines (0: in
# one batch) to $OPENAI_BASE_URL, and write the answers to FOLDER.
set -eu

endpoint=$1 input=$2 folder=$3 lines=$4

field() {
	sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"
}

api() {
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
	file=$(api -F purpose=batch -F "file=@$part;filename=input.jsonl" "$OPENAI_BASE_URL/files" | field id)
	batch=$(api -H 'Content-Type: application/json' "$OPENAI_BASE_URL/batches" -d "{
		\"input_file_id\": \"$file\", \"endpoint\": \"$endpoint\", \"completion_window\": \"24h\"}" | field id)
	batches="$batches $batch"
done
for batch in $batches; do
	until seen=$(api "$OPENAI_BASE_URL/batches/$batch") && [ "$(echo "$seen" | field status)" = completed ]; do
		sleep 0.05
	done
	api -o "$folder/output-$batch.jsonl" "$OPENAI_BASE_URL/files/$(echo "$seen" | field output_file_id)/content"
done
