# amalgamate.awk: expands #include "..." of files under src/ into one header, on standard output.
#
#     awk -v keep=aios_kernels.h -v licence=LICENSE -f tools/amalgamate.awk src/aios.h > aios.h
#
# Names are looked up beside the including file, then beside the root. An .inc file expands at every include, any other
# file once; names in `keep` (space separated) and <system> headers stay as they are. Deterministic: the output is
# a function of the files alone. An include that cannot be read is an error that names it. POSIX awk.
#
# The root's first comment comes first, so that the reader of a generated header starts with its manual.

function fail(text) {
    print "amalgamate: " text | "cat 1>&2"
    close("cat 1>&2")
    exit 1
}

# "a/b/../c.h" -> "a/c.h", so that one file has one name
function clean(path) {
    while (match(path, /[^\/.][^\/]*\/\.\.\//)) path = substr(path, 1, RSTART - 1) substr(path, RSTART + RLENGTH)
    while (sub(/\/\.\//, "/", path)) { }
    sub(/^\.\//, "", path)
    return path
}

function dir_of(path) { sub(/[^\/]*$/, "", path); return path }

function readable(path,   line, r) {
    r = (getline line < path)
    close(path)
    return r >= 0
}

function put(line) {
    if (line == "") { blank = 1; return }               # runs of empty lines become one
    if (blank && n_put) print ""
    blank = 0
    n_put++
    print line
}

# The banner of a file, when a line of it is about to be written and the lines before came from another one.
function banner(path,   name) {
    if (path == at_file) return
    name = substr(path, length(root_dir) + 1)
    if (top_done && path != root) {
        blank = 1
        put("/* ======== " name (path in begun ? ", continued" : "") " ======== */")
    }
    at_file = path
    begun[path]++
}

# Is the end of this line inside a comment? (Only lines with a slash and a star get here.)
function scan(line, inside,   i, n, c, q) {
    n = length(line)
    q = ""
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        if (inside) { if (c == "*" && substr(line, i + 1, 1) == "/") { inside = 0; i++ } }
        else if (q != "") { if (c == "\\") i++; else if (c == q) q = "" }
        else if (c == "\"" || c == "'") q = c
        else if (c == "/" && substr(line, i + 1, 1) == "*") { inside = 1; i++ }
        else if (c == "/" && substr(line, i + 1, 1) == "/") return 0
    }
    return inside
}

function expand(path,   line, name, dir, inside, n, found, r) {
    if (path in active) fail(path " includes itself")
    active[path] = 1
    dir = dir_of(path)
    inside = 0
    n = 0
    while ((r = (getline line < path)) > 0) {
        n++
        sub(/[ \t\r]+$/, "", line)
        if (!inside && line ~ /^[ \t]*#[ \t]*include[ \t]*"/) {
            name = line
            sub(/^[^"]*"/, "", name)
            sub(/".*$/, "", name)
            if (index(" " keep " ", " " name " ")) { banner(path); put(line); continue }
            found = clean(dir name)
            if (!readable(found)) found = clean(root_dir name)
            if (!readable(found)) fail(path ":" n ": cannot read \"" name "\"")
            if (found ~ /[.]inc$/ || !(found in done)) {
                done[found] = 1
                expand(found)
            }
            continue
        }
        if (line != "") banner(path)
        put(line)
        if (line ~ /\/\*|\*\//) {
            inside = scan(line, inside)
            if (!top_done && !inside) {
                put("/* Generated from src/ by tools/amalgamate.awk: edit there, then `make headers`. Licence: at the end. */")
                top_done = 1
            }
        }
    }
    if (r < 0) fail("cannot read " path)
    close(path)
    blank = 1
    delete active[path]
}

BEGIN {
    root = ARGV[1]
    if (root == "") fail("usage: awk [-v keep=NAMES] [-v licence=FILE] -f amalgamate.awk ROOT")
    root_dir = dir_of(root)
    at_file = ""
    done[root] = 1
    expand(root)
    if (licence != "") {
        if (!readable(licence)) fail("cannot read " licence)
        print ""
        print "/*"
        while ((getline line < licence) > 0) {
            sub(/[ \t\r]+$/, "", line)
            print (line == "" ? " *" : " * " line)
        }
        print " */"
    }
    exit 0
}
