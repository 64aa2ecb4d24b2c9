#!/usr/bin/env bash
# Builds each program of the module in directory $1 twice, in different directories
# and surroundings, and compares. $2, if given, names the
# programs that the second build makes from an empty cache ("all" of them with
# ./...); the others take what is compiled already, which leaves linking, paths and
# embedded files to differ. FLAGS are the build's.
set -euo pipefail
module=${1:?the directory of a module}
fresh=${2:-}
flags=${FLAGS--trimpath -buildvcs=false}

temporary=$(mktemp -d)
trap 'chmod -R u+w "$temporary"; rm -rf "$temporary"' EXIT
mkdir -p "$temporary"/{one,two,three,tmp,here,"else where/deeper"}
# Both build from a copy, which nobody edits meanwhile: of what is committed and what
# is about to be, but for files that were deleted.
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
    [[ ! -f $f ]] || printf '%s\0' "$f"
done | tar --null -T - -cf "$temporary/tree.tar"
here="$temporary/here" elsewhere="$temporary/else where/deeper"
tar -xf "$temporary/tree.tar" -C "$here"
tar -xf "$temporary/tree.tar" -C "$elsewhere"

export CGO_ENABLED=0
programs=$(go -C "$here/$module" list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./...)
# shellcheck disable=SC2086 # flags and programs are several words
{
    go -C "$here/$module" build $flags -o "$temporary/one/" $programs
    surroundings=(env HOME="$temporary" TMPDIR="$temporary/tmp" TZ=Asia/Kathmandu LC_ALL=C USER=somebody
        GOCACHE="$(go env GOCACHE)" GOMODCACHE="$(go env GOMODCACHE)" GOPROXY=off GOFLAGS="-p=1 -mod=readonly")
    (umask 077 && "${surroundings[@]}" go -C "$elsewhere/$module" build $flags -o "$temporary/two/" $programs)
    if [[ -n $fresh ]]; then
        "${surroundings[@]}" GOFLAGS=-mod=readonly GOCACHE="$temporary/cache" go -C "$elsewhere/$module" build $flags -o "$temporary/three/" $fresh
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
