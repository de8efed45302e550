/* Tables for a terminal; see columns.h. */
#include "tool/columns.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Between columns, and the least a column that breaks is given. */
#define GAP 2u
#define NARROW 12u

void columns_add(struct columns *table, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    char **longer =
        length >= 0 ? realloc(table->cells, (table->cell_count + 1) * sizeof *longer) : NULL;
    if (longer == NULL) {
        table->failed = true;
        if (length >= 0)
            free(text);
        return;
    }
    table->cells = longer;
    table->cells[table->cell_count++] = text;
}

/* How much of a text goes into a line of this width: to its end, or behind a comma or blank. */
static size_t piece(const char *text, size_t width)
{
    size_t length = strlen(text);
    if (length <= width)
        return length;
    size_t fits = 0;
    for (size_t i = 0; i < width; i++)
        if (text[i] == ',' || text[i] == ' ')
            fits = i + 1;
    if (fits == 0) /* one word longer than the line stays whole */
        fits = strcspn(text, ", ");
    return text[fits] == ',' ? fits + 1 : fits;
}

static void find_widths(const struct columns *table, unsigned widths[COLUMNS_MAX])
{
    unsigned total = 0;
    for (unsigned c = 0; c < table->column_count; c++) {
        widths[c] = (unsigned)strlen(table->columns[c].head);
        for (unsigned i = c; i < table->cell_count; i += table->column_count) {
            unsigned length = (unsigned)strlen(table->cells[i]);
            widths[c] = length > widths[c] ? length : widths[c];
        }
    }
    for (unsigned c = 0; c < table->column_count; c++)
        total += widths[c] + (c > 0 ? GAP : 0);
    while (table->width > 0 && total > table->width) {
        unsigned widest = table->column_count;
        for (unsigned c = 0; c < table->column_count; c++)
            if (table->columns[c].breaks && widths[c] > NARROW &&
                (widest == table->column_count || widths[c] > widths[widest]))
                widest = c;
        if (widest == table->column_count)
            return;
        widths[widest]--;
        total--;
    }
}

/* One line of a row: what is left of every cell, as much as fits. false: nothing is left. */
static bool print_line(const struct columns *table, FILE *out, const unsigned widths[COLUMNS_MAX],
                       const char *rest[COLUMNS_MAX])
{
    bool any = false;
    unsigned owed = 0; /* blanks that are only printed when something follows */
    for (unsigned c = 0; c < table->column_count; c++)
        any |= *rest[c] != '\0';
    for (unsigned c = 0; any && c < table->column_count; c++) {
        size_t length = piece(rest[c], widths[c]);
        size_t shown = length;
        while (shown > 0 && rest[c][shown - 1] == ' ')
            shown--;
        unsigned blanks = shown < widths[c] ? widths[c] - (unsigned)shown : 0;
        if (shown > 0)
            (void)fprintf(out, "%*s%.*s", (int)(owed + (table->columns[c].right ? blanks : 0)), "",
                          (int)shown, rest[c]);
        if (shown > 0)
            owed = table->columns[c].right ? 0 : blanks;
        else
            owed += blanks;
        owed += GAP;
        rest[c] += length;
    }
    if (any)
        (void)fputc('\n', out);
    return any;
}

bool columns_print(struct columns *table, FILE *out)
{
    unsigned widths[COLUMNS_MAX];
    const char *rest[COLUMNS_MAX];
    bool fine = !table->failed;
    find_widths(table, widths);
    for (unsigned c = 0; c < table->column_count; c++)
        rest[c] = table->columns[c].head;
    if (fine) {
        (void)fputs(table->colour ? "\033[1m" : "", out);
        while (print_line(table, out, widths, rest)) {
        }
        (void)fputs(table->colour ? "\033[0m" : "", out);
    }
    for (unsigned i = 0; fine && i + table->column_count <= table->cell_count;
         i += table->column_count) {
        for (unsigned c = 0; c < table->column_count; c++)
            rest[c] = table->cells[i + c];
        while (print_line(table, out, widths, rest)) {
        }
    }
    for (unsigned i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->cell_count = 0;
    return fine;
}

void columns_wrap(FILE *out, const char *sentence, unsigned indent, unsigned width)
{
    size_t room = width > indent + NARROW ? width - indent : width > 0 ? NARROW : SIZE_MAX;
    for (bool first = true; *sentence != '\0' || first; first = false) {
        size_t length = piece(sentence, room), shown = length;
        while (shown > 0 && sentence[shown - 1] == ' ')
            shown--;
        (void)fprintf(out, "%*s%.*s\n", first ? 0 : (int)indent, "", (int)shown, sentence);
        sentence += length;
    }
}

unsigned columns_width(FILE *out)
{
    struct winsize size;
    if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

bool columns_colour(FILE *out)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(out)) && (no_color == NULL || *no_color == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}
