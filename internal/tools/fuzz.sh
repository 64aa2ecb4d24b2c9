#!/usr/bin/env bash
# Fuzzes every fuzz target of the module in the working directory, for the time
# or the number of inputs (100x) that the first argument tells, each. A package's
# test binary is built once for all its targets, which go test doesn't do. What
# fails is written to the package's testdata/fuzz, as by go test.
set -euo pipefail
fuzztime=$1
binary=$(mktemp -d)
trap 'rm -rf "$binary"' EXIT
module=$PWD

# Packages whose test files declare a target, and their directories.
packages() {
    go list -f '{{range .TestGoFiles}}{{$.Dir}}/{{.}} {{$.ImportPath}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$.Dir}}/{{.}} {{$.ImportPath}}{{"\n"}}{{end}}' ./... |
        while read -r file package; do
            if [[ -n $file ]] && grep -q '^func Fuzz' "$file"; then echo "$package ${file%/*}"; fi
        done | sort -u
}

packages | while read -r package dir; do
    go test -C "$module" -c -fuzz=. -o "$binary/fuzz.test" "$package"
    cd "$dir"
    "$binary/fuzz.test" -test.list='^Fuzz' | while read -r target; do
        echo "==> $package $target"
        # What is only interesting is not worth a minute of minimizing; the list of
        # targets is not for the binary to read.
        "$binary/fuzz.test" -test.fuzzminimizetime=1s -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$fuzztime" \
            -test.fuzzcachedir="$(go env GOCACHE)/fuzz/$package" </dev/null
    done
done
