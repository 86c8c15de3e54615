# amalgamate.awk: puts the files under src/ that a root includes with #include "..." into one header, on standard output.
#
#     awk -v keep=aios_kernels.h -v licence=LICENSE -f tools/amalgamate.awk src/aios.h > aios.h
#
# Every file stands in the header once: where it is first included. But an .inc file counts at each of its includes. One with several
# becomes a numbered part at the end, and an include of it becomes
#
#     #define AIOSK__PART 5 /* kernels/ops.inc */
#     #include "aios_kernels.h"
#
# the header itself, which with that macro is part 5 alone. (Not __FILE__: it is looked up from the folder of the including file, and may
# be a path from elsewhere.) The macro is named after the header: aios.h would have AIOS__PART. Within an .inc file only .inc files may be
# included, since it is compiled in another order than it is written in. GCC takes 11 ms to pass over the header for a part: that is why an
# .inc file with one include is none.
#
# Names are looked up beside the including file, then beside the root. Names in `keep` (space separated) and <system> headers stay as they
# are. Deterministic: the output is a function of the files alone. An include that cannot be read is an error that names it. POSIX awk.
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
function name_of(path) { return substr(path, length(root_dir) + 1) }

function readable(path,   line, r) {
    r = (getline line < path)
    close(path)
    return r >= 0
}

function put(line) {
    if (line == "") { blank = 1; return }               # runs of empty lines become one
    if (blank && n_put) out[++n_put] = ""
    blank = 0
    out[++n_put] = line
}

# The banner of a file, when a line of it is about to be written and the lines before came from another one.
function banner(path) {
    if (path == at_file) return
    if (n_top && path != root) {
        blank = 1
        put("/* ======== " name_of(path) (path in begun ? ", continued" : "") " ======== */")
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

# The file that a line of `path` includes; "" where the line stays as it is: no include, or of a name to keep.
function included(line, path,   name, found) {
    if (line !~ /^[ \t]*#[ \t]*include[ \t]*"/) return ""
    name = line
    sub(/^[^"]*"/, "", name)
    sub(/".*$/, "", name)
    if (index(" " keep " ", " " name " ")) return ""
    found = clean(dir_of(path) name)
    if (!readable(found)) found = clean(root_dir name)
    if (!readable(found)) fail(path ": cannot read \"" name "\"")
    return found
}

# How many includes every file has.
function count(path,   line, inside, found) {
    if (path in n_includes) return
    n_includes[path] = 0
    while ((getline line < path) > 0) {
        found = inside ? "" : included(line, path)
        if (found != "") {
            count(found)
            n_includes[found]++
        }
        else if (line ~ /\/\*|\*\//) inside = scan(line, inside)
    }
    close(path)
}

# In place of an include of a part: the header includes itself for it.
function include_part(path) {
    if (!(path in part)) {
        part[path] = ++n_parts
        part_path[n_parts] = path
    }
    put("#define " part_macro " " part[path] " /* " name_of(path) " */")
    put("#include \"" name_of(root) "\"")
}

function expand(path,   line, inside, found, r) {
    if (path in active) fail(path " includes itself")
    active[path] = 1
    inside = 0
    while ((r = (getline line < path)) > 0) {
        sub(/[ \t\r]+$/, "", line)
        found = inside ? "" : included(line, path)
        if (found ~ /[.]inc$/ && n_includes[found] > 1) {
            banner(path)
            include_part(found)
            continue
        }
        if (found != "") {
            if (at_inc && found !~ /[.]inc$/) fail(path ": an .inc file may include .inc files alone, not " found)
            if (!(found in done)) {
                done[found] = 1
                if (found ~ /[.]inc$/) at_inc++
                expand(found)
                if (found ~ /[.]inc$/) at_inc--
            }
            continue
        }
        if (line != "") banner(path)
        put(line)
        if (line ~ /\/\*|\*\//) {
            inside = scan(line, inside)
            if (!n_top && !inside) {
                put("/* Generated from src/ by tools/amalgamate.awk: edit there, then `make headers`. Licence: at the end. */")
                n_top = n_put
            }
        }
    }
    if (r < 0) fail("cannot read " path)
    close(path)
    blank = 1
    delete active[path]
}

# The parts, numbered in the order in which they were asked for; a part may ask for more.
function parts(   i) {
    if (!n_parts) return
    at_inc = 1
    put("#else")
    put("/* Parts of this file that are compiled more than once, for each instruction set with other macros. Code above defines " part_macro)
    put(" * as the number of one and includes this file again; by its name, so it has to keep that, beside the file itself. The number is")
    put(" * gone within the part, which may thus do the same for another one. */")
    for (i = 1; i <= n_parts; i++) {
        blank = 1
        put("/* ======== " name_of(part_path[i]) " ======== */")
        put((i > 1 ? "#elif " : "#if ") part_macro " == " i)
        put("#undef " part_macro)
        at_file = part_path[i]
        expand(part_path[i])
    }
    put("#else")
    put("#error \"" name_of(root) ": it includes itself, but found another version of itself\"")
    put("#endif")
    put("#endif")
}

BEGIN {
    root = ARGV[1]
    if (root == "") fail("usage: awk [-v keep=NAMES] [-v licence=FILE] -f amalgamate.awk ROOT")
    root_dir = dir_of(root)
    part_macro = toupper(name_of(root))                 # aios_kernels.h -> AIOSK__PART
    sub(/[.]H$/, "", part_macro)
    sub(/_KERNELS$/, "K", part_macro)
    part_macro = part_macro "__PART"
    at_file = ""
    done[root] = 1
    count(root)
    expand(root)
    parts()
    for (i = 1; i <= n_put; i++) {
        print out[i]
        if (i == n_top && n_parts) print "#ifndef " part_macro " /* else this file includes itself: see the parts at the end */"
    }
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
