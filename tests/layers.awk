# layers.awk: which names of aios.h's files are used above the file that defines them.
#
#     awk -f tests/layers.awk src/aios.h
#
# src/aios.h lists the files in the order of the flow: each may use those above it. A compiler sees to most of that; this also finds
# declarations ahead, public functions that stand below their users, macros, and folders that are not in one piece. Prints the uses and
# fails when there are any. A definition begins in the first column: a function, a macro, a type or an enumeration. POSIX awk.

function fail(text) { print text; bad = 1 }

# Comments and strings out of a line; `inside` says whether it begins in a comment.
function code(line,   out, i) {
    out = ""
    while (line != "") {
        if (inside) {
            i = index(line, "*/")
            if (!i) return out
            line = substr(line, i + 2)
            inside = 0
        } else if (match(line, /\/\*|\/\/|"([^"\\]|\\.)*"/)) {
            out = out substr(line, 1, RSTART - 1)
            if (substr(line, RSTART, 2) == "//") return out
            if (substr(line, RSTART, 2) == "/*") inside = 1
            line = substr(line, RSTART + RLENGTH)
        } else return out line
    }
    return out
}
function define(name, file) { if (!(name in at)) { at[name] = file; where[name] = path[file] } }

function read(file, pass,   line, n, word, i, name, in_enum, head, rest) {
    head = ""
    inside = 0
    n = in_enum = 0
    while ((getline line < path[file]) > 0) {
        n++
        line = code(line)
        if (pass == 1) {
            name = ""
            if (line ~ /^# *define +aiosk?_|^# *define +AIOSK?_/) { name = line; sub(/^# *define +/, "", name); sub(/[^A-Za-z0-9_].*$/, "", name) }
            else if (line ~ /^(typedef +)?(struct|union) +aios[A-Za-z0-9_]* *[{]/) { name = line; sub(/ *[{].*/, "", name); sub(/.* /, "", name) }
            else if (line ~ /^} aios[a-z0-9_]*;/) { name = line; sub(/^} /, "", name); sub(/;.*/, "", name) }
            # a function's head may take several lines: whether it is a definition shows where it ends, with { or ;
            if (name == "" && head == "" && line ~ /^[A-Za-z]/ && line !~ /^(typedef|struct|union|enum|#)/ &&
                match(" " line, /[^A-Za-z0-9_]aios_[A-Za-z0-9_]* *\(/)) {
                head = substr(line, RSTART, RLENGTH - 2)       # of " " line: one further
                sub(/ *$/, "", head)
            }
            if (head != "" && match(line, /[{;]/)) {
                if (substr(line, RSTART, 1) == "{") name = head
                head = ""
            }
            if (name != "") define(name, file)
            if (line ~ /^(typedef +)?enum/) in_enum = 1
            if (in_enum) {
                rest = line
                while (match(rest, /AIOS__[A-Z0-9_]+/)) { define(substr(rest, RSTART, RLENGTH), file); rest = substr(rest, RSTART + RLENGTH) }
            }
            if (line ~ /}/) in_enum = 0
        } else {
            while (match(line, /[A-Za-z_][A-Za-z0-9_]*/)) {
                word = substr(line, RSTART, RLENGTH)
                line = substr(line, RSTART + RLENGTH)
                if (word in at && at[word] > file && !(word in told)) {
                    told[word] = 1
                    fail(path[file] ":" n " uses " word ", which stands below it, in " where[word])
                }
            }
        }
    }
    close(path[file])
    return n
}

BEGIN {
    root = ARGV[1]
    dir = root
    sub(/[^\/]*$/, "", dir)
    while ((getline line < root) > 0) {
        if (line !~ /^#include "/) continue
        sub(/^#include "/, "", line)
        sub(/".*/, "", line)
        if (line == "api.h" || line == "aios_kernels.h") continue
        path[++n_files] = dir line
        folder = line
        if (!sub(/\/.*/, "", folder)) folder = "."
        if (folder != last && folder in seen && folder != ".") fail(root ": the folder " folder " is not in one piece (" line ")")
        seen[folder] = 1
        last = folder
    }
    if (n_files < 10) fail(root ": lists " n_files " files")
    for (i = 1; i <= n_files; i++) if (read(i, 1) == 0) fail(path[i] ": cannot be read")
    for (i = 1; i <= n_files; i++) read(i, 2)
    exit bad
}
