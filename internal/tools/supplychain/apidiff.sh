#!/usr/bin/env bash
# What changed for those who import the module in this directory since its newest
# tag v*: from v1 on, a change that breaks them fails. $1 is apidiff.
set -euo pipefail
apidiff=$(realpath "$1")
module=$(go list -m)

# Of the tags that HEAD descends from; v1.2.0-rc.1 is older than v1.2.0.
tag=$(git -c versionsort.suffix=- tag --list 'v[0-9]*' --merged HEAD --sort=-version:refname | head -1)
if [[ -z $tag ]]; then
    echo "apidiff: there is no tag v* yet, so there is nothing to compare with"
    exit 0
fi

temporary=$(mktemp -d)
trap 'git worktree remove --force "$temporary/then" 2>/dev/null || true; rm -rf "$temporary"' EXIT
git worktree add --quiet --detach "$temporary/then" "$tag"
(cd "$temporary/then" && "$apidiff" -m -w "$temporary/api" "$module")

changes=$("$apidiff" -m "$temporary/api" "$module")
breaking=$("$apidiff" -m -incompatible "$temporary/api" "$module")
printf 'apidiff: since %s\n%s\n' "$tag" "${changes:-nothing changed}"
[[ -n $breaking ]] || exit 0
if [[ $tag == v0.* || $tag == *-* ]]; then
    echo "apidiff: some break callers, which $tag may; CHANGELOG.md has to name them"
    exit 0
fi
echo "apidiff: what breaks callers needs a new major version" >&2
exit 1
