/* Collected mistakes; see mistakes.h. */
#include "topology/mistakes.h"
#include "topology/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this a file is not a configuration; the rest is counted, not kept. */
#define KEPT_MAX 1000u

/* Room for the line "and N more mistakes". */
#define TAIL_BYTES 48u

static void add_list(struct npi_mistakes *mistakes, int line, const char *where, const char *format,
                     va_list arguments)
{
    if (mistakes->count >= KEPT_MAX) {
        mistakes->count++;
        return;
    }
    struct npi_mistake *items =
        realloc(mistakes->items, (mistakes->count + 1) * sizeof *mistakes->items);
    char *text = NULL, *whole = NULL;
    if (items != NULL)
        mistakes->items = items;
    if (items == NULL || vasprintf(&text, format, arguments) < 0) {
        mistakes->no_memory = true;
        return;
    }
    if (where != NULL) {
        whole = npi_text_format("%s: %s", where, text);
        free(text);
        text = whole;
    }
    if (text == NULL)
        mistakes->no_memory = true;
    else
        items[mistakes->count++] = (struct npi_mistake){line, text};
}

void npi_mistakes_add(struct npi_mistakes *mistakes, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_list(mistakes, line, NULL, format, arguments);
    va_end(arguments);
}

void npi_mistakes_add_at(struct npi_mistakes *mistakes, const char *where, const char *format, ...)
{
    const char *colon = strrchr(where, ':');
    long line = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
    va_list arguments;
    va_start(arguments, format);
    add_list(mistakes, (int)line, where, format, arguments);
    va_end(arguments);
}

unsigned npi_mistakes_kept(const struct npi_mistakes *mistakes)
{
    return mistakes->count < KEPT_MAX ? mistakes->count : KEPT_MAX;
}

/* By line, and in the order of finding within a line. */
void npi_mistakes_sort(struct npi_mistakes *mistakes)
{
    struct npi_mistake *items = mistakes->items;
    unsigned count = npi_mistakes_kept(mistakes);
    for (unsigned i = 1; i < count; i++) {
        struct npi_mistake item = items[i];
        unsigned at = i;
        for (; at > 0 && items[at - 1].line > item.line; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

static void write_out(const struct npi_mistakes *mistakes, unsigned kept,
                      struct numapool_error *error)
{
    size_t used = 0, room = sizeof error->text;
    unsigned shown = 0;
    for (; shown < kept; shown++) {
        size_t length = strlen(mistakes->items[shown].text) + (used != 0);
        bool last = shown + 1 == mistakes->count;
        if (used + length + (last ? 1 : TAIL_BYTES) > room)
            break;
        used += (size_t)snprintf(error->text + used, room - used, "%s%s", used != 0 ? "\n" : "",
                                 mistakes->items[shown].text);
    }
    if (shown == 0 && kept > 0) { /* a single line longer than all the room */
        (void)snprintf(error->text, room - TAIL_BYTES, "%s", mistakes->items[0].text);
        used = strlen(error->text);
        shown = 1;
    }
    if (shown < mistakes->count)
        (void)snprintf(error->text + used, room - used, "\nand %u more mistakes",
                       mistakes->count - shown);
}

int npi_mistakes_report(struct npi_mistakes *mistakes, struct numapool_error *error)
{
    unsigned kept = npi_mistakes_kept(mistakes);
    int result = mistakes->no_memory   ? NUMAPOOL_E_NOMEM
                 : mistakes->count > 0 ? NUMAPOOL_E_CONFIG
                                       : NUMAPOOL_OK;
    if (result != NUMAPOOL_OK && error != NULL) {
        *error = (struct numapool_error){.count = (int)mistakes->count};
        npi_mistakes_sort(mistakes);
        if (result == NUMAPOOL_E_NOMEM)
            (void)snprintf(error->text, sizeof error->text, "out of memory");
        else
            write_out(mistakes, kept, error);
    }
    for (unsigned i = 0; i < kept; i++)
        free(mistakes->items[i].text);
    free(mistakes->items);
    *mistakes = (struct npi_mistakes){0};
    return result;
}
