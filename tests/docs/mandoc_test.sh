#!/bin/sh
# Built manual pages, read by mandoc: mandoc_test.sh PAGE... Warnings are failures.
command -v mandoc >/dev/null || {
    echo "skipped: no mandoc"
    exit 77
}
status=0
for page in "$@"; do
    # scdoc puts a paragraph where one begins anyway.
    said=$(mandoc -Tlint -W warning "$page" 2>&1 | grep -v 'skipping paragraph macro: PP')
    if [ -n "$said" ]; then
        printf '%s\n' "$said"
        status=1
    fi
    mandoc -Tutf8 "$page" | col -b | grep -q '^SEE ALSO$' || {
        echo "$page: it has no SEE ALSO, or cannot be shown"
        status=1
    }
done
exit $status
