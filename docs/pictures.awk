# pictures.awk: puts what build/pictures prints into a document, on standard output.
#
#     awk -f docs/pictures.awk build/pictures.txt docs/ARCHITECTURE.md
#
# A picture goes into the fenced block behind the line "<!-- picture NAME -->", in place of what is there. POSIX awk.

FNR == 1 { file++ }
file == 1 && /^picture [a-z]+$/ { name = $2; next }
file == 1 { text[name] = text[name] $0 "\n"; next }
/^<!-- picture [a-z]+ -->$/ { waits = $3 }
{ if (!inside) print }
/^```picture$/ && waits != "" {
    if (!(waits in text)) { print "no picture " waits >"/dev/stderr"; bad = 1 }
    printf "%s", text[waits]
    used[waits] = 1
    waits = ""
    inside = 1
    next
}
/^```$/ && inside { inside = 0; print }
END {
    for (name in text) if (!(name in used)) { print "no place for picture " name >"/dev/stderr"; bad = 1 }
    exit bad
}
