#!/usr/bin/env bash
# Builds each program of the module in directory $1 twice, here and in a copy
# elsewhere, under different surroundings, and compares. $2, if given, names the
# programs that the second build makes from an empty cache ("all" of them with
# ./...); the others take what is compiled already, which leaves linking, paths and
# embedded files to differ. FLAGS are the build's.
set -euo pipefail
module=${1:?the directory of a module}
fresh=${2:-}
flags=${FLAGS--trimpath -buildvcs=false}

temporary=$(mktemp -d)
trap 'chmod -R u+w "$temporary"; rm -rf "$temporary"' EXIT
mkdir -p "$temporary"/{one,two,three} "$temporary/else where/$(basename "$PWD")" "$temporary/tmp"
copy="$temporary/else where/$(basename "$PWD")"
# What is committed and what is about to be; a file that was deleted is not.
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
    [[ ! -f $f ]] || printf '%s\0' "$f"
done | tar --null -T - -cf - | tar -xf - -C "$copy"

export CGO_ENABLED=0
programs=$(go -C "$module" list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./...)
# shellcheck disable=SC2086 # flags and programs are several words
{
    go -C "$module" build $flags -o "$temporary/one/" $programs
    elsewhere=(env HOME="$temporary" TMPDIR="$temporary/tmp" TZ=Asia/Kathmandu LC_ALL=C USER=somebody
        GOCACHE="$(go env GOCACHE)" GOMODCACHE="$(go env GOMODCACHE)" GOPROXY=off GOFLAGS="-p=1 -mod=readonly")
    (umask 077 && "${elsewhere[@]}" go -C "$copy/$module" build $flags -o "$temporary/two/" $programs)
    if [[ -n $fresh ]]; then
        "${elsewhere[@]}" GOFLAGS=-mod=readonly GOCACHE="$temporary/cache" go -C "$copy/$module" build $flags -o "$temporary/three/" $fresh
    fi
}

digests() { (cd "$1" && sha256sum -- *); }
digests "$temporary/one"
differing=$(diff <(digests "$temporary/one") <(digests "$temporary/two") || true)
for program in "$temporary"/three/*; do
    [[ ! -e $program ]] || cmp -s "$program" "$temporary/one/${program##*/}" || differing+=$'\n'"${program##*/} from an empty cache"
done
[[ -z $differing ]] || { printf 'reproducible: these differ from one build to the next:\n%s\n' "$differing" >&2; exit 1; }
echo "reproducible: each of $(ls "$temporary/one" | wc -l) programs is the same, byte by byte; from an empty cache: ${fresh:-none}"
