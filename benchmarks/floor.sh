#!/bin/sh
# The minimal cost of a batch: one hash of its input, and curl to transfer the bytes. Nothing is
# checked, recorded or sorted.
#
# usage: floor.sh ENDPOINT INPUT FOLDER LINES [submit|collect]: submit the input in batches of LINES
# lines (0: in one batch) to $OPENAI_BASE_URL, and write the answers to FOLDER. With `submit` or
# `collect`, only this half. HASH is the command that hashes; HASH=: leaves the hash out.
#
# Checked with strace and with the times that curl reports, since whatever this script wastes makes
# runner look better:
# - no pause: for an upload of more than 1 MB curl asks for `100 Continue` and waits up to one second
#   for it. `Expect:` keeps it from asking. Each request prints the seconds before it was sent and
#   before the first byte, and the benchmark fails if the difference is a large part of the whole;
# - no retry, no second look at a batch that is finished: 4 requests for each batch;
# - no needless process: one curl for each request, whose reply names the next, so that there is
#   nothing to send over the same connection in one process; the shell itself reads the replies;
# - no configuration file of the user (-q).
set -eu

endpoint=$1 input=$2 folder=$3 lines=$4 half=${5-}

newline='
'
call() {
	reply=$(curl -qsSf -H Expect: -H "Authorization: Bearer $OPENAI_API_KEY" \
		-w '\nwaited %{time_pretransfer} %{time_starttransfer}' "$@")
	echo "${reply##*"$newline"}"
}

read_field() {
	field=${reply#*"\"$1\": \""}
	field=${field%%\"*}
}

if [ "$half" != collect ]; then
	${HASH:-sha256sum} "$input" >"$folder/sum"
	if [ "$lines" -eq 0 ]; then
		set -- "$input"
	else
		split -l "$lines" "$input" "$folder/part-"
		set -- "$folder"/part-*
	fi
	for part in "$@"; do
		call -F purpose=batch -F "file=@$part;filename=input.jsonl" "$OPENAI_BASE_URL/files"
		read_field id
		call -H 'Content-Type: application/json' "$OPENAI_BASE_URL/batches" -d "{
			\"input_file_id\": \"$field\", \"endpoint\": \"$endpoint\", \"completion_window\": \"24h\"}"
		read_field id
		echo "$field" >>"$folder/batches"
	done
fi
if [ "$half" != submit ]; then
	while read -r batch; do
		while :; do
			call "$OPENAI_BASE_URL/batches/$batch"
			read_field status
			[ "$field" = completed ] && break
			sleep 0.05
		done
		read_field output_file_id
		call -o "$folder/output-$batch.jsonl" "$OPENAI_BASE_URL/files/$field/content"
	done <"$folder/batches"
fi
