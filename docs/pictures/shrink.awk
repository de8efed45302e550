# A third of a picture of gnuplot without what it does not need: groups that are empty, marks that nothing uses,
# attributes that say what is so anyway, and hundredths of a pixel.
/<defs>/ { defs = 1 }
defs { if (/<\/defs>/) defs = 0; next }
/^[ \t]*$/ { next }
{
    gsub(/^[ \t]+/, "")
    gsub(/ font-family="sans" *>/, ">")
    gsub(/<tspan>|<\/tspan>/, "")
    gsub(/ stroke-linecap="butt" stroke-linejoin="miter"/, "")
    gsub(/ stroke-width="1.00"/, "")
    gsub(/ class="gridline"/, "")
    if (!/<text>/ && !/^<desc>/ && !/^<\?xml/) {
        line = ""
        while (match($0, /[0-9]+\.[0-9][0-9]/)) {
            line = line substr($0, 1, RSTART - 1) sprintf("%.1f", substr($0, RSTART, RLENGTH))
            $0 = substr($0, RSTART + RLENGTH)
        }
        $0 = line $0
        gsub(/\.0/, "")
    }
}
# A group that closes at once is neither printed nor closed.
/^<g [^>]*>$/ && !/id=/ { if (held != "") print held; held = $0; next }
/^<\/g>$/ && held != "" { held = ""; next }
{ if (held != "") print held; held = ""; print }
