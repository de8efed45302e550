# The headers as doxygen wants them: they are written for people who read them in an editor, with few marks. A line
# of a header stays one line, so that doxygen's messages name the real ones.
#
#   "Returns  OK, _E_FULL", "Units  ..."     commands of their own, aliases in the Doxyfile
#   int depth; /* tasks */                   a comment behind a member, or before it, is about it
#   /* ------- submit */                     a group begins
#   columns and listings in a comment        lists and code
#   NUMAPOOL_STATS_FIELDS(MEMBER)            members, with the texts of the list

{ line[NR] = $0; count = NR }

# Names that the comments shorten.
function names(text) {
    while (match(text, /(^|[^A-Za-z0-9_])_E_[A-Z]+/)) {
        at = RSTART + (substr(text, RSTART, 1) != "_")
        text = substr(text, 1, at - 1) "#NUMAPOOL" substr(text, at)
    }
    gsub(/(Returns|@returns)  *OK/, "& ", text)
    sub(/Returns  *OK /, "Returns #NUMAPOOL_OK", text)
    sub(/@returns  *OK /, "@returns #NUMAPOOL_OK", text)
    return text
}

# How far a line of a comment is indented behind its star.
function depth(text) {
    if (!match(text, /^ \* */) || text ~ /^ \*$/ || text ~ /^ \*\//) return -1
    return RLENGTH - 2
}

function body(text) { sub(/^ \* */, "", text); return text }

# A comment in the outermost level: its lines from..to.
function big_comment(from, to,    i, text, d, was, in_code) {
    was = ""
    for (i = from; i <= to; i++) {
        d = depth(line[i])
        text = body(line[i])
        if (match(text, /^(Returns|Units|Owns|Order|Shape|Errors|Threads|Blocks)  +/)) {
            was = substr(text, 1, index(text, " ") - 1)
            line[i] = " * @" tolower(was) " " substr(text, RLENGTH + 1)
        } else if (d == 1 || d < 0) {
            was = ""
            if (text ~ /^[A-Z][a-z]+$/) line[i] = " * **" text "**"
        } else if (was != "" && text ~ /^NUMAPOOL_/) {
            sub(/  +/, ": ", text)
            line[i] = " * <br>" text
        } else if (was == "" && d == 3 && match(text, /^[a-z_:]+(, [a-z]+)?  +/)) {
            line[i] = " * - **" trim(substr(text, 1, RLENGTH)) "** " substr(text, RLENGTH + 1)
        } else if (was == "" && d == 5 && !in_code && depth(line[i - 1]) == 1) {
            line[i - 1] = line[i - 1] " @code{.c}"
            in_code = 1
        }
        if (in_code && depth(line[i + 1]) < 5) {
            line[i] = line[i] " @endcode"
            in_code = 0
        }
        if (!in_code) line[i] = names(line[i])
    }
}

function trim(text) { sub(/ +$/, "", text); return text }

# The name that a line declares or defines, as a comment calls it.
function declared(text) {
    if (text ~ /^#define /) {
        sub(/^#define /, "", text)
        sub(/[^A-Z_].*/, "", text)
        return text
    }
    sub(/\(.*/, "", text)
    sub(/^.*[ *]/, "", text)
    return text "()"
}

function end_of(i) { while (line[i] !~ /\*\//) i++; return i }

function group(title,    name) {
    name = title
    gsub(/[^a-z]+/, "_", name)
    title = toupper(substr(title, 1, 1)) substr(title, 2)
    closing = grouped ? "/** @} */ " : ""
    grouped = 1
    return closing "/** @defgroup " stem "_" name " " title " */ /** @{ */"
}

END {
    stem = FILENAME
    sub(/^.*\//, "", stem)
    sub(/\.h$/, "", stem)
    for (i = 1; i <= count; i++) {
        text = line[i]
        if (match(text, /X\([a-z0-9_]+, [a-z]+, +"[^"]*"\)/)) {
            split(substr(text, RSTART + 2), part, /, */)
            split(text, quoted, "\"")
            members = members "uint64_t " part[1] "; /**< " quoted[2] " (" part[2] "). */ "
        } else if (text ~ /^ +NUMAPOOL_STATS_FIELDS\(/) {
            line[i] = members != "" ? members : "/* the statistics of numapool.h */"
        } else if (text ~ /^#define NUMAPOOL_(API|MUST_USE|STATS_MEMBER|PAGE_MEMBER)/) {
            line[i] = ""
        } else if (match(text, /^\/\* -+ /)) {
            title = substr(text, RLENGTH + 1)
            sub(/ *\*\/$/, "", title)
            line[i] = group(title)
        } else if (text ~ /^\/\*/) { # a comment in the outermost level
            to = end_of(i)
            about = text ~ /^\/\*$/ && line[i - 1] == "};" ? " @" block : i == 1 ? " @file" : ""
            sub(/^\/\*+/, "/**" about, line[i])
            big_comment(i, to)
            i = to
        } else if (text ~ /^(struct|enum) [a-z_]+ \{/) {
            block = substr(text, 1, length(text) - 2)
            inside = 1
        } else if (text == "};") {
            inside = 0
        } else if (text ~ /[;,] +\/\*/ && (inside || text ~ /^typedef/) || text ~ /^#define NUMAPOOL_[A-Z_]+ .* \/\*/) {
            sub(/\/\*/, "/**<", line[i])
            i = end_of(i)
        } else if (inside && text ~ /^ +\/\*/) {
            sub(/\/\*+/, "/**", line[i])
            i = end_of(i)
        } else if (inside && text ~ /^ +[A-Za-z].*[;,]$/) {
            line[i] = text " /**< &nbsp; */" # its name, or the comment of the whole, says it
        }
        # A second declaration under one comment.
        if (line[i] ~ /^(NUMAPOOL_API|#define NUMAPOOL_[A-Z_]+[ (]|struct [a-z_]+ \{)/ && line[i] !~ /\/\*\*</ &&
            (line[i - 1] !~ /\*\/$/ || line[i - 1] ~ /\/\*\*</))
            line[i] = "/** " (line[i - 1] == "" ? "&nbsp;" : "See " before ".") " */ " line[i]
        if (text ~ /^(NUMAPOOL_API|#define NUMAPOOL_)/) before = declared(text)
        if (text ~ /^#ifdef __cplusplus/ && grouped) last_group = i
    }
    for (i = 1; i <= count; i++) {
        if (i == last_group) printf "/** @} */\n"
        print line[i]
    }
}
