#!/usr/bin/env bash
# Writes what the modules in directories $3… consist of to directory $2, as CycloneDX
# JSON, and checks that nothing that their packages are built of is missing. $1 is
# cyclonedx-gomod.
set -euo pipefail
gomod=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
shift 2
for module; do
    name=$(go -C "$module" list -m)
    file="$out/$(tr / - <<<"${name#*/*/}").cdx.json"
    # Without number and time the same tree gives the same file.
    (cd "$module" && "$gomod" mod -json -std -noserial -notimestamp -type library -output "$file" 2>/dev/null)
    missing=0
    while read -r dependency; do
        [[ -z $dependency ]] || grep -qF "\"pkg:golang/$dependency?" "$file" || { echo "sbom: $file lacks $dependency" >&2; missing=1; }
    done < <(go -C "$module" list -deps -f '{{with .Module}}{{if not (or .Main .Replace)}}{{.Path}}@{{.Version}}{{end}}{{end}}' ./... | sort -u)
    ((missing == 0)) || exit 1
    echo "sbom: $file: $(grep -c '"purl": "pkg:golang/' "$file") components"
done
