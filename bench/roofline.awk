# roofline.awk: draws the CSV of the benchmark programs as a roofline chart: products per second against products per byte of
# weights, both logarithmic. A dot is the fastest layout of a type, for 1 column (decoding), up to 8 (several sequences,
# checking of guesses) and many (prefill); the lines are what this machine was measured to be able to do.
#
#     awk [-v title="My CPU"] [-v isa=avx2] [-v threads=1] -f bench/roofline.awk results.csv >chart.svg
#
# Without isa and threads: the first set that has matrices, the most threads. Any POSIX awk.
BEGIN { FS = ","; W = 1120; H = 700; L = 74; R = 34; T = 84; B = 66 }
NR == 1 { for (i = 1; i <= NF; i++) col[$i] = i; next }
{ what = $col["what"]; th = $col["threads"] + 0; set = $col["isa"]; name = $col["name"] }
what == "roof" {
    v = $col["gb_s"] + $col["gmac_s"]
    if (v > roof[set, name, th]) roof[set, name, th] = v
}
what == "matmul" {
    if (isa == "") isa = set
    if (set != isa) next
    if (th > most) most = th
    n_rows++; row_name[n_rows] = name; row_th[n_rows] = th; row_cols[n_rows] = $col["cols"] + 0
    row_x[n_rows] = $col["mac_per_byte"] + 0; row_y[n_rows] = $col["gmac_s"] + 0; row_from[n_rows] = $col["from"]
}
function lg(v) { return log(v) / log(10) }
function px(v) { return L + (lg(v) - x0) / (x1 - x0) * (W - L - R) }
function py(v) { return H - B - (lg(v) - y0) / (y1 - y0) * (H - T - B) }
function text(x, y, s, attr) { printf "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, attr, s }
function line(xa, ya, xb, yb, attr) { printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", xa, ya, xb, yb, attr }
function clean(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); return s }
function number(v) { return v >= 100 ? sprintf("%.0f", v) : v >= 1 ? sprintf("%.3g", v) : sprintf("%g", v) }
# The line y = bw x up to y = top, with its name along it.
function slope(bw, top, attr, label, colour,   xa, xb, a, i) {
    if (bw <= 0) return
    xa = 10 ^ x0; xb = top / bw
    if (xa * bw < 10 ^ y0) xa = 10 ^ y0 / bw
    if (xb > 10 ^ x1) xb = 10 ^ x1
    line(px(xa), py(xa * bw), px(xb), py(xb * bw), attr)
    if (label == "") return
    a = -atan2((H - T - B) / (y1 - y0), (W - L - R) / (x1 - x0)) * 57.29578
    xa = exp((log(xa) * 0.86 + log(xb) * 0.14))
    text(0, 0, label, sprintf("class=\"r\" fill=\"%s\" transform=\"translate(%.1f %.1f) rotate(%.2f) translate(0 -6)\"", colour, px(xa), py(xa * bw), a))
    for (i = 0; i < length(label) * 6.6; i += 8) block(px(xa) + i * cos(a / 57.29578), py(xa * bw) + i * sin(a / 57.29578) - 22, px(xa) + (i + 10) * cos(a / 57.29578), py(xa * bw) + i * sin(a / 57.29578) - 2)
}
# Its name stands as far to the right as no dot is in the way.
function flat(top, bw, attr, label, colour,   xa, w) {
    if (top <= 0) return
    xa = bw > 0 ? top / bw : 10 ^ x0
    if (xa < 10 ^ x0) xa = 10 ^ x0
    line(px(xa), py(top), W - R, py(top), attr)
    if (label == "") return
    w = length(label) * 6.6
    for (xa = W - R - 6; xa > L + W / 3 && hits(xa - w, py(top) - 19, xa, py(top) - 3); xa -= 8) {}
    block(xa - w, py(top) - 18, xa, py(top) - 2)
    text(xa, py(top) - 6, label, "class=\"r\" text-anchor=\"end\" fill=\"" colour "\"")
}
# Does a box touch a dot or a label that is there already?
function hits(ax, ay, bx, by,   i) {
    if (ax < L + 2 || bx > W - R - 2 || ay < T + 2 || by > H - B - 2) return 1
    for (i = 1; i <= n_box; i++) if (ax < box_bx[i] && bx > box_ax[i] && ay < box_by[i] && by > box_ay[i]) return 1
    return 0
}
function block(ax, ay, bx, by) { n_box++; box_ax[n_box] = ax; box_ay[n_box] = ay; box_bx[n_box] = bx; box_by[n_box] = by }
# A label beside its dot: as near as there is room, with a line to the dot when it is far.
function place(i,   w, r, k, a, cx, cy, ax, ay) {
    w = length(dot_name[i]) * 6.1 + 4
    for (r = 11; r < 260; r += 5) for (k = 0; k < 24; k++) {
        a = (k % 2 ? -1 : 1) * int((k + 1) / 2) * 0.261799 + (dot_group[i] == 1 ? 0.6 : -1.2)
        cx = dot_x[i] + cos(a) * (r + w / 2 * (cos(a) < 0 ? -cos(a) : cos(a)))
        cy = dot_y[i] + sin(a) * r
        ax = cx - w / 2; ay = cy - 6.5
        if (hits(ax, ay, ax + w, ay + 13)) continue
        block(ax, ay, ax + w, ay + 13)
        if (r > 16) line(dot_x[i], dot_y[i], cx - cos(a) * w / 2 * (cos(a) < 0 ? -cos(a) : cos(a)), cy - sin(a) * 5, "stroke=\"" colour[dot_group[i]] "\" stroke-width=\"0.7\" opacity=\"0.55\"")
        label_x[i] = cx; label_y[i] = cy + 3.6
        return
    }
    label_x[i] = dot_x[i]; label_y[i] = dot_y[i] - 8
}
END {
    if (!n_rows) { print "roofline.awk: no matrices in the CSV" >"/dev/stderr"; exit 1 }
    if (threads == "") threads = most
    threads += 0
    colour[1] = "#1f5fbf"; colour[2] = "#d9730d"; colour[3] = "#2a8a3e"
    for (i = 1; i <= n_rows; i++) { # the widest of each group, the fastest layout
        if (row_th[i] != threads) continue
        g = row_cols[i] == 1 ? 1 : row_cols[i] <= 8 ? 2 : 3
        if ((g < 3) != (row_from[i] == "memory") || row_y[i] <= 0) continue
        if (row_cols[i] > widest[g]) widest[g] = row_cols[i]
    }
    for (i = 1; i <= n_rows; i++) {
        g = row_cols[i] == 1 ? 1 : row_cols[i] <= 8 ? 2 : 3
        if (row_th[i] != threads || row_cols[i] != widest[g] || (g < 3) != (row_from[i] == "memory") || row_y[i] <= 0) continue
        k = row_name[i] SUBSEP g
        if (!(k in at)) { n_dots++; at[k] = n_dots; dot_name[n_dots] = row_name[i]; dot_group[n_dots] = g; dot_mx[n_dots] = row_x[i]; dot_my[n_dots] = 0 }
        if (row_y[i] > dot_my[at[k]]) dot_my[at[k]] = row_y[i]
    }
    read = roof[isa, "read", threads]; l2 = roof[isa, "l2", threads]; int8 = roof[isa, "int8", threads]; f32 = roof[isa, "f32", threads]
    top = int8 > f32 ? int8 : f32
    lo_x = 0.25; hi_x = 16; lo_y = 1e9; hi_y = top
    for (i = 1; i <= n_dots; i++) {
        if (dot_mx[i] < lo_x) lo_x = dot_mx[i]
        if (dot_mx[i] > hi_x) hi_x = dot_mx[i]
        if (dot_my[i] < lo_y) lo_y = dot_my[i]
        if (dot_my[i] > hi_y) hi_y = dot_my[i]
    }
    if (top <= 0) top = hi_y
    x0 = lg(lo_x * 0.8); x1 = lg(hi_x * 1.5); y0 = lg(lo_y * 0.6); y1 = lg(hi_y * 1.9)

    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\">\n", W, H, W, H
    print "<style>.t{font-size:19px;font-weight:bold;fill:#222}.s{font-size:12.5px;fill:#555}.a{font-size:12px;fill:#444}"
    print ".d{font-size:10px;stroke:#fff;stroke-width:3px;stroke-linejoin:round;paint-order:stroke}.r{font-size:11.5px;stroke:#fff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}</style>"
    printf "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", W, H
    text(L, 32, clean(title == "" ? "Matrix kernels" : title), "class=\"t\"")
    text(L, 53, "aios.h matrix kernels, " isa ", " threads " thread" (threads > 1 ? "s" : "") ". Lines: what this machine was measured to do in the same run" (threads > 1 ? "; thin: with one thread" : "") ".", "class=\"s\"")
    for (e = -3; e <= 6; e++) for (m = 1; m <= 9; m++) {
        v = m * 10 ^ e; major = m == 1 || m == 2 || m == 5
        attr = "stroke=\"" (m == 1 ? "#d4d4d4" : "#efefef") "\""
        if (lg(v) >= x0 && lg(v) <= x1) { line(px(v), T, px(v), H - B, attr); if (major) text(px(v), H - B + 18, number(v), "class=\"a\" text-anchor=\"middle\"") }
        if (lg(v) >= y0 && lg(v) <= y1) { line(L, py(v), W - R, py(v), attr); if (major) text(L - 8, py(v) + 4, number(v), "class=\"a\" text-anchor=\"end\"") }
    }
    printf "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#888\"/>\n", L, T, W - L - R, H - T - B
    text((L + W - R) / 2, H - 18, "products per byte of weights (MAC/byte)", "class=\"a\" text-anchor=\"middle\"")
    text(0, 0, "GMAC/s", "class=\"a\" text-anchor=\"middle\" transform=\"translate(20 " (T + H - B) / 2 ") rotate(-90)\"")

    for (i = 1; i <= n_dots; i++) {
        dot_x[i] = px(dot_mx[i]); dot_y[i] = py(dot_my[i])
        block(dot_x[i] - 5, dot_y[i] - 5, dot_x[i] + 5, dot_y[i] + 5)
        order[i] = i
    }
    if (threads > 1) {
        thin = "stroke=\"#999\" stroke-width=\"1\""
        slope(roof[isa, "read", 1], roof[isa, "int8", 1] > 0 ? roof[isa, "int8", 1] : top, thin, "")
        flat(roof[isa, "int8", 1], roof[isa, "read", 1], thin, "int8, 1 thread: " number(roof[isa, "int8", 1]), "#777")
        flat(roof[isa, "f32", 1], roof[isa, "read", 1], thin " stroke-dasharray=\"2 3\"", "f32, 1 thread: " number(roof[isa, "f32", 1]), "#777")
    }
    slope(l2, top, "stroke=\"#444\" stroke-width=\"1.3\" stroke-dasharray=\"7 4\"", "second-level cache " number(l2) " GB/s", "#444")
    slope(read, top, "stroke=\"#111\" stroke-width=\"2.2\"", "memory " number(read) " GB/s", "#111")
    flat(int8, read, "stroke=\"#111\" stroke-width=\"2.2\"", "int8 peak " number(int8) " GMAC/s", "#111")
    flat(f32, read, "stroke=\"#111\" stroke-width=\"1.4\" stroke-dasharray=\"2 3\"", "f32 peak " number(f32) " GMAC/s", "#111")

    for (g = 1; g <= 3; g++) if (widest[g]) {
        x = W - R - 415 + (g > 1) * 150 + (g > 2) * 110
        printf "<circle cx=\"%.1f\" cy=\"72\" r=\"4.5\" fill=\"%s\"/>\n", x, colour[g]
        text(x + 10, 76, widest[g] (g == 1 ? " column (decode)" : " columns" (g == 3 ? " (prefill)" : "")), "class=\"s\"")
    }
    for (i = 2; i <= n_dots; i++) for (j = i; j > 1 && dot_x[order[j]] < dot_x[order[j - 1]]; j--) { k = order[j]; order[j] = order[j - 1]; order[j - 1] = k }
    for (i = 1; i <= n_dots; i++) place(order[i])
    for (i = 1; i <= n_dots; i++) printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" stroke=\"#fff\" stroke-width=\"0.8\"><title>%s: %s GMAC/s</title></circle>\n", dot_x[i], dot_y[i], colour[dot_group[i]], dot_name[i], number(dot_my[i])
    for (i = 1; i <= n_dots; i++) text(label_x[i], label_y[i], dot_name[i], "class=\"d\" text-anchor=\"middle\" fill=\"" colour[dot_group[i]] "\"")
    print "</svg>"
}
