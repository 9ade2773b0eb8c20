#!/bin/bash
# Compares Go benchmarks of this tree with those of an earlier commit: bench/since.sh [commit [package [benchmarks]]].
# With the package bench/internal/queries these are statements over pgx, whose first answers the server of COLSEAL_TEST_DSN gives;
# else values are sealed and opened over a driver that does nothing.
# In each round the programs of both, and the earlier one's again (A/A), run each benchmark 25 times for a moment. The fastest of
# these is the round's, since what else the machine does only adds to it. It prints the median of the rounds' ratios, and between
# which nine of ten of them are. The first statement of a program is not timed: it looks at the catalog for all later ones.
set -euo pipefail
commit=${1:-7ade07d} package=${2:-driver} rounds=${ROUNDS:-11}
pattern=${3:-$([[ $package == driver ]] && echo 'Plain|SealFive|OpenFive' || echo Since)}

cd "$(git rev-parse --show-toplevel)"
tmp=$(mktemp -d)
trap 'git worktree remove --force "$tmp/tree" || true; rm -rf "$tmp"' EXIT
git worktree add --quiet --detach "$tmp/tree" "$commit"
go test -c -o "$tmp/now" "./$package"
if [[ $package == bench/internal/queries ]]; then
	cp "$package"/{replay,since_test}.go "$tmp/tree/$package/"
	grep -q 'warmUp = ' "$tmp/tree/$package"/*.go || printf 'package queries\n\nconst warmUp = 8\n' >"$tmp/tree/$package/warm.go"
fi
(cd "$tmp/tree" && go test -c -o "$tmp/then" "./$package")
cp "$tmp/then" "$tmp/again"

cd "$package"
for ((round = 0; round < rounds; round++)); do
	for which in $(shuf -e then again now); do
		"$tmp/$which" -test.run '^$' -test.bench "^Benchmark($pattern)\$" -test.benchtime 1000x -test.count 25 |
			awk -v round="$round" -v which="$which" '$4 == "ns/op" { sub(/-[0-9]+$/, "", $1)
				if (!($1 in least) || $3 < least[$1]) least[$1] = $3 }
				END { for (b in least) print b, round, which, least[b] }'
	done
done >"$tmp/times"

printf '%-30s %10s   %-26s %s\n' "against $commit" "then, ns" "then again (A/A)" now
awk '{ t[$1, $2, $3] = $4; rounds[$1, $2] } END { for (br in rounds) { split(br, p, SUBSEP)
	print p[1], "then", t[br, "then"]
	print p[1], "again", t[br, "again"] / t[br, "then"]
	print p[1], "now", t[br, "now"] / t[br, "then"] } }' "$tmp/times" | sort -k1,1 -k2,2 -k3,3g |
	awk '{ n[$1, $2]++; v[$1, $2, n[$1, $2]] = $3; name[$1] }
	function at(b, w, q) { return v[b, w, int(q * (n[b, w] - 1) + 1.5)] }
	function ratio(b, w) { return sprintf("%.3f (%.3f to %.3f)", at(b, w, 0.5), at(b, w, 0.05), at(b, w, 0.95)) }
	END { for (b in name) printf "%-30s %10.1f   %-26s %s\n", b, at(b, "then", 0.5), ratio(b, "again"), ratio(b, "now") }' | sort
